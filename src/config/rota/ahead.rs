//! What comes: all that a rota will want within a time, one after the other.

use jiff::Timestamp;

use super::{RotaIx, Rotas};
use crate::keeper::Wish;

/// A time in which the same is wanted, for the same reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spell {
    /// When it begins, or the looking ahead does.
    pub from: Timestamp,
    /// When it ends, or the looking ahead does.
    pub until: Timestamp,
    /// The state; `None`: no session of ours.
    pub wish: Option<Wish>,
    /// The timetable that says so; `None`: none is open.
    pub by: Option<u32>,
}

impl Rotas {
    /// What is wanted between two moments of those who follow a rota, without a gap. Nothing, if there is no such rota
    /// or no time between them.
    #[must_use]
    pub fn ahead(&self, rota: RotaIx, from: Timestamp, to: Timestamp) -> Vec<Spell> {
        let mut spells = Vec::new();
        let Some(rota) = self.rotas.get(rota as usize).filter(|_| from < to) else { return spells };
        let mut now = self.shifts(rota, from);
        let (mut wish, mut by) = rota.wanted(&now);
        let mut began = from;
        while let Some(edge) = self.pass(rota, &mut now).filter(|edge| *edge < to) {
            let next = rota.wanted(&now);
            if next != (wish, by) {
                spells.push(Spell { from: began, until: edge, wish, by });
                began = edge;
                (wish, by) = next;
            }
        }
        spells.push(Spell { from: began, until: to, wish, by });
        spells
    }
}
