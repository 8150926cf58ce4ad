//! Overrides in a world: laid as the driver lays them.

use presenced::keeper::id::{LaneKey, UserId};
use presenced::keeper::{Input, MonoTime, Over, Wish};

use crate::world::World;

impl World {
    /// Something else is wanted of a user from now on, or no longer.
    pub fn override_with(
        &mut self,
        key: &LaneKey,
        user: UserId,
        wish: Option<Option<Wish>>,
        until: MonoTime,
    ) {
        let whom = (key.clone(), user);
        match wish {
            Some(wish) => self.over.insert(whom.clone(), Over { wish, until }),
            None => self.over.remove(&whom),
        };
        self.input_override(&whom);
    }

    /// Whether an override wants a session of a user, or none; `None`: there is no override.
    pub fn wanted_over(&self, key: &LaneKey, user: UserId) -> Option<Option<Wish>> {
        self.over.get(&(key.clone(), user)).map(|over| over.wish)
    }

    /// After a plan or a start: everyone once.
    pub fn lay_all(&mut self) {
        let all: Vec<_> = self.over.keys().cloned().collect();
        all.iter().for_each(|whom| self.input_override(whom));
    }

    /// After a slice of a plan, before anything is sent for it.
    pub fn overrides_now(&self) -> Vec<Input> {
        let input = |(whom, over): (&(LaneKey, UserId), &Over)| {
            let session = self.keeper.find(self.keeper.lane(&whom.0)?, whom.1)?;
            Some(Input::Override { session, over: Some(*over) })
        };
        self.over.iter().filter_map(input).collect()
    }

    fn input_override(&mut self, whom: &(LaneKey, UserId)) {
        let session = self.keeper.lane(&whom.0).and_then(|lane| self.keeper.find(lane, whom.1));
        if let Some(session) = session {
            self.input(Input::Override { session, over: self.over.get(whom).copied() });
        }
    }
}
