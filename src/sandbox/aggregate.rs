//! What others see of a user with several sessions.

use super::presence::Shown;

/// The pair a reader is shown.
///
/// Without any session it is Offline, whatever the user prefers. With one, a preference outranks all sessions;
/// among sessions DoNotDisturb comes before Busy, Available and Away, and the first of equals wins. Source:
/// Microsoft's page "Manage presence state using the Microsoft Graph API". Where the idle forms and BeRightBack
/// stand is not documented: here between Available and Away. Words that nobody documents count like Busy.
#[must_use]
pub fn aggregate(sessions: impl IntoIterator<Item = Shown>, preferred: Option<Shown>) -> Shown {
    let Some(strongest) = sessions.into_iter().min_by_key(rank) else { return Shown::OFFLINE };
    preferred.unwrap_or(strongest)
}

fn rank(shown: &Shown) -> u8 {
    let inactive = shown.activity.eq_ignore_ascii_case("AvailableInactive")
        || shown.activity.eq_ignore_ascii_case("Inactive");
    match shown.availability.to_ascii_lowercase().as_str() {
        "donotdisturb" => 0,
        "available" if inactive => 3,
        "available" => 2,
        "availableidle" => 3,
        "berightback" => 4,
        "away" => 5,
        "offline" | "presenceunknown" => 6,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DND: Shown = Shown::of("DoNotDisturb", "Presenting");
    const BUSY: Shown = Shown::of("Busy", "InACall");
    const AVAILABLE: Shown = Shown::of("Available", "Available");
    const INACTIVE: Shown = Shown::of("Available", "AvailableInactive");
    const AWAY: Shown = Shown::of("Away", "Away");

    #[test]
    fn the_stronger_session_is_shown_whatever_the_order() {
        let order = [DND, BUSY, AVAILABLE, INACTIVE, Shown::of("BeRightBack", "BeRightBack"), AWAY];
        for (strong, weak) in (0..order.len()).flat_map(|s| (s + 1..order.len()).map(move |w| (s, w))) {
            let pair = [order[strong].clone(), order[weak].clone()];
            assert_eq!(aggregate(pair.clone(), None), order[strong]);
            assert_eq!(aggregate(pair.into_iter().rev(), None), order[strong]);
        }
    }

    #[test]
    fn a_preference_counts_only_while_there_is_a_session() {
        let busy = Shown::of("Busy", "Busy");
        assert_eq!(aggregate([DND], Some(busy.clone())), busy);
        assert_eq!(aggregate([AWAY], Some(Shown::of("Available", "Available"))), AVAILABLE);
        assert_eq!(aggregate([], Some(busy)), Shown::OFFLINE);
        assert_eq!(aggregate([], None), Shown::OFFLINE);
    }
}
