//! Desired state: what is wanted of a user, as a pure function of what the config says.
//!
//! There is no time in it: a schedule is one more layer while it is open, which [`super::rota`] knows. Overrides come
//! above, in the daemon.

use std::time::Duration;

use crate::keeper::{Expiration, PresenceState, Wish};

/// What one layer says about a user; what it leaves open comes from the layer below.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Layer {
    /// Availability and activity, always both together. `Some(None)`: no session of ours.
    pub state: Option<Option<PresenceState>>,
    /// How long a session lives after each set.
    pub expiration: Option<Expiration>,
}

impl Layer {
    /// What holds where the config says nothing: Available, for an hour.
    #[must_use]
    pub fn built_in() -> Self {
        let hour = Expiration::covering(Duration::from_secs(3_600));
        Self { state: Some(Some(PresenceState::Available)), expiration: Some(hour) }
    }
}

/// What is wanted by these layers, the weakest first; `None`: no session of ours.
#[must_use]
pub fn wish<'l>(
    layers: impl IntoIterator<Item = &'l Layer, IntoIter: DoubleEndedIterator + Clone>,
) -> Option<Wish> {
    let layers = layers.into_iter();
    let strongest = |says: fn(&Layer) -> bool| layers.clone().rev().find(|layer| says(layer));
    let state = strongest(|layer| layer.state.is_some())?.state??;
    let expiration = strongest(|layer| layer.expiration.is_some())?.expiration?;
    Some(Wish { state, expiration })
}

/// The state that an availability and an activity mean, in Graph's words, compared without case; `None` for `none`.
///
/// # Errors
/// What would be right.
pub fn state_of(availability: &str, activity: Option<&str>) -> Result<Option<PresenceState>, String> {
    const PAIRS: &str = "Available, Busy with InACall or InAConferenceCall, Away, DoNotDisturb, or none";
    if availability.eq_ignore_ascii_case("none") {
        return match activity {
            None => Ok(None),
            Some(_) => Err("`none` takes no activity".to_owned()),
        };
    }
    let same = |state: &PresenceState| state.availability().eq_ignore_ascii_case(availability);
    let mut fitting: Vec<PresenceState> = PresenceState::ALL.into_iter().filter(same).collect();
    if fitting.is_empty() {
        return Err(format!("unknown availability `{availability}`; a session shows {PAIRS}"));
    }
    if let Some(activity) = activity {
        fitting.retain(|state| state.activity().eq_ignore_ascii_case(activity));
    }
    match fitting[..] {
        [state] => Ok(Some(state)),
        [] => Err(format!(
            "{availability} cannot be combined with activity `{}`; a session shows {PAIRS}",
            activity.unwrap_or_default()
        )),
        _ => Err(format!("{availability} needs an activity: InACall or InAConferenceCall")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_layer_that_says_something_holds_and_each_part_by_itself() {
        let minutes = |m| Expiration::from_minutes(m);
        let defaults = Layer { state: Some(Some(PresenceState::Away)), expiration: minutes(30) };
        let user = Layer { state: Some(Some(PresenceState::InACall)), expiration: None };
        let wish_of = |layers: &[Layer]| wish(layers).map(|w| (w.state, w.expiration.minutes()));
        assert_eq!(wish_of(&[Layer::built_in()]), Some((PresenceState::Available, 60)));
        assert_eq!(wish_of(&[Layer::built_in(), defaults, user]), Some((PresenceState::InACall, 30)));
        let none = Layer { state: Some(None), expiration: None };
        assert_eq!(wish_of(&[Layer::built_in(), defaults, none]), None);
        assert_eq!(wish_of(&[Layer::built_in(), none, user]), Some((PresenceState::InACall, 60)));
        assert_eq!(wish(&[]), None);
    }

    #[test]
    fn a_pair_is_read_without_case_and_a_wrong_one_is_told_what_would_be_right() {
        assert_eq!(state_of("busy", Some("inacall")), Ok(Some(PresenceState::InACall)));
        assert_eq!(state_of("DONOTDISTURB", None), Ok(Some(PresenceState::Presenting)));
        assert_eq!(state_of("None", None), Ok(None));
        for (availability, activity, told) in [
            ("Busy", None, "needs an activity: InACall or InAConferenceCall"),
            ("Busy", Some("Busy"), "cannot be combined with activity `Busy`"),
            ("Offline", None, "unknown availability `Offline`"),
            ("none", Some("Away"), "takes no activity"),
        ] {
            let error = state_of(availability, activity).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }
}
