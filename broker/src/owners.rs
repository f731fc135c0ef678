//! Whose lasting sessions there are: each name has bounds, so that none takes what is for all.

use std::{collections::HashMap, sync::Arc};

use crate::{access::name_of, pending::Stored};

/// Names with the lasting sessions that they have. Sessions of who has no name are not counted: only this machine's
/// clients can be nobody.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    names: HashMap<Box<str>, Account>,
}

#[derive(Debug, Default)]
struct Account {
    sessions: usize,
    stored: Arc<Stored>,
}

impl Owners {
    /// Lasting sessions of the name in a session's id.
    pub(crate) fn sessions(&self, id: &str) -> usize {
        let account = name_of(id).and_then(|name| self.names.get(name));
        account.map_or(0, |account| account.sessions)
    }

    /// A lasting session begins. Returns where what it keeps is counted.
    pub(crate) fn begin(&mut self, id: &str) -> Option<Arc<Stored>> {
        let account = self.names.entry(name_of(id)?.into()).or_default();
        account.sessions += 1;
        Some(account.stored.clone())
    }

    /// A lasting session has ended.
    pub(crate) fn end(&mut self, id: &str) {
        let Some(name) = name_of(id) else { return };
        let Some(account) = self.names.get_mut(name) else {
            return;
        };
        account.sessions -= 1;
        if account.sessions == 0 {
            self.names.remove(name);
        }
    }
}
