//! What is read from files, at the start and anew while the broker runs.

use std::sync::Arc;

use super::{acl::Acl, config::Access, error::AccessError, passwords::Passwords};
use crate::{BrokerError, Tls, tls};

/// Where it is read from.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) access: Access,
    pub(super) tls: Option<Tls>,
}

/// What was read.
#[derive(Debug, Clone)]
pub(super) struct Current {
    /// How often it was read anew.
    pub(super) generation: u64,
    pub(super) tls: Option<Arc<tls::Port>>,
    pub(super) passwords: Option<Arc<Passwords>>,
    pub(super) acl: Arc<Acl>,
}

impl Source {
    /// Reads everything.
    pub(super) fn load(&self) -> Result<Current, BrokerError> {
        Ok(Current {
            generation: 0,
            tls: self.tls()?,
            passwords: self.passwords()?,
            acl: self.acl()?,
        })
    }

    /// Reads everything anew. What is of no use stays as it was, each part for itself: a typing error in one file does not
    /// keep a revoked certificate alive.
    pub(super) fn renew(&self, before: &Current, faults: &mut Vec<BrokerError>) -> Current {
        let mut told = |fault: BrokerError| {
            tracing::error!(%fault, "not taken: what was read before holds on");
            faults.push(fault);
        };
        Current {
            generation: before.generation + 1,
            tls: self.tls().map_err(&mut told).unwrap_or_else(|()| before.tls.clone()),
            passwords: self
                .passwords()
                .map_err(&mut told)
                .unwrap_or_else(|()| before.passwords.clone()),
            acl: self.acl().map_err(&mut told).unwrap_or_else(|()| before.acl.clone()),
        }
    }

    fn tls(&self) -> Result<Option<Arc<tls::Port>>, BrokerError> {
        let port = self.tls.as_ref().map(tls::load).transpose()?;
        Ok(port.map(Arc::new))
    }

    fn passwords(&self) -> Result<Option<Arc<Passwords>>, BrokerError> {
        let passwords = self.access.passwords.as_deref().map(Passwords::load).transpose()?;
        Ok(passwords.map(Arc::new))
    }

    fn acl(&self) -> Result<Arc<Acl>, BrokerError> {
        let Some(path) = &self.access.acl else {
            return Ok(Arc::default());
        };
        let text = trust::files::read(path).map_err(AccessError::from)?;
        let acl = Acl::parse(&String::from_utf8_lossy(&text));
        let acl = acl.map_err(|faults| AccessError::Lines {
            path: path.clone(),
            faults,
        })?;
        Ok(Arc::new(acl))
    }
}
