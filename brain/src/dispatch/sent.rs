//! The newest commands with their newest answers, so that answers find them: by id, however many there are.

use std::collections::{HashMap, VecDeque};

use crate::snapshot::CommandView;

/// The most commands that are remembered: two rounds of 10,000 hosts. A command that is older gets no answer that is news; some
/// 2 KB each.
pub(crate) const MAX_SENT: usize = 20_000;

/// Commands, oldest first.
#[derive(Debug, Default)]
pub(super) struct Sent {
    views: VecDeque<CommandView>,
    /// The number of the oldest; the others follow.
    first: u64,
    /// The number of each by its id; of an id that comes twice the newer.
    by_id: HashMap<String, u64>,
}

impl Sent {
    /// Adds a command, the newest; the oldest is forgotten where there are too many.
    pub(super) fn push(&mut self, view: CommandView) {
        let number = self.first.saturating_add(self.views.len() as u64);
        self.by_id.insert(view.command.id.clone(), number);
        self.views.push_back(view);
        while self.views.len() > MAX_SENT {
            let Some(old) = self.views.pop_front() else { return };
            if self.by_id.get(&old.command.id) == Some(&self.first) {
                self.by_id.remove(&old.command.id);
            }
            self.first = self.first.saturating_add(1);
        }
    }

    /// The command of this id, if it is one for `host`.
    pub(super) fn get(&self, host: &str, id: &str) -> Option<&CommandView> {
        let view = self.views.get(self.place(id)?)?;
        (view.command.host == host).then_some(view)
    }

    /// The same, to be answered.
    pub(super) fn get_mut(&mut self, host: &str, id: &str) -> Option<&mut CommandView> {
        let place = self.place(id)?;
        let view = self.views.get_mut(place)?;
        (view.command.host == host).then_some(view)
    }

    /// The newest first.
    pub(super) fn newest(&self) -> impl Iterator<Item = &CommandView> {
        self.views.iter().rev()
    }

    fn place(&self, id: &str) -> Option<usize> {
        let number = self.by_id.get(id)?;
        usize::try_from(number.checked_sub(self.first)?).ok()
    }
}

impl FromIterator<CommandView> for Sent {
    /// Of the oldest first.
    fn from_iter<T: IntoIterator<Item = CommandView>>(views: T) -> Self {
        let mut sent = Self::default();
        views.into_iter().for_each(|view| sent.push(view));
        sent
    }
}
