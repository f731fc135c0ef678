//! Transports: the kernel's device and RMCP+ sessions, through ipmi-rs.
//!
//! What ipmi-rs leaves to its callers is done here. It panics on some replies: each call is caught. It does not
//! compare sequence numbers over UDP: a `relay` sees to it that each request gets its own reply, a reply of another
//! command is a fault, and after any fault but a refusal the session has to be dropped
//! ([`BmcError::wants_new_session`]). It never raises the privilege of a session, nor ends one, and BMCs have few of
//! them: both are done here.

use std::{
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    time::Duration,
};

use ipmi_rs::{
    File,
    connection::{IpmiConnection, LogicalUnit, Message, NetFn, Request, RequestTargetAddress},
    rmcp::{
        ActivationError, RakpMessage2ErrorStatusCode, RakpMessage2ParseError, Rmcp, RmcpIpmiError,
        RmcpIpmiReceiveError, V2_0ActivationError,
    },
};
use shadow::SourceState;

use super::{BmcError, client::Command, credentials::PasswordSource};
use relay::Relay;

mod relay;

/// The port of RMCP.
pub const PORT: u16 = 623;

/// Session privileges, the highest first: administrator, operator, user (IPMI 2.0, 22.18).
const PRIVILEGES: [u8; 3] = [4, 3, 2];

/// ipmi-rs asks for the role of an administrator, and for no other; the role is signed with the password, so that nobody
/// can put another in its place on the way.
const NOT_ADMINISTRATOR: &str = "the user may not be an administrator there, which the session asks for: give it that \
    privilege on the LAN channel (ipmitool user priv ID 4 CHANNEL), or read the BMC from its own host (bmc.address = \
    \"local\")";

/// How much longer than the deadline ipmi-rs waits for a reply.
const SLACK: Duration = Duration::from_millis(50);

/// Where a BMC is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Behind the kernel's driver.
    Local(PathBuf),
    /// On the network: RMCP+ with cipher suite 3.
    Lan {
        /// Name or address, and UDP port.
        host: (String, u16),
        /// The user's name in the BMC.
        user: String,
        /// Where its password is.
        password: PasswordSource,
    },
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => path.display().fmt(f),
            Self::Lan { host: (host, port), .. } => write!(f, "{host}:{port}"),
        }
    }
}

/// One reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The completion code; 0 is success.
    pub code: u8,
    /// What follows it.
    pub data: Vec<u8>,
}

/// A way to a BMC: one command at a time, each with a deadline.
pub trait Transport: Send {
    /// Sends `command` and waits for its reply, whatever its completion code.
    ///
    /// # Errors
    /// [`BmcError`] without a reply that belongs to the command. The transport cannot be used any more then.
    fn call(&mut self, command: &Command) -> Result<Reply, BmcError>;
}

/// Opens a way to the BMC at `address`, whose replies are waited for as long as `deadline`.
///
/// # Errors
/// [`BmcError::Open`] and what the first commands end with.
pub fn open(address: &Address, deadline: Duration) -> Result<Box<dyn Transport>, BmcError> {
    match address {
        Address::Local(path) => {
            let inner = File::new(path, deadline).map_err(|fault| unreachable_device(path, &fault))?;
            Ok(Box::new(Wire {
                inner,
                deadline,
                fault: file_fault,
            }))
        }
        Address::Lan { host, user, password } => {
            let relay = Relay::start(host, deadline).map_err(|fault| failed(fault.to_string()))?;
            // The relay gives up first, so that nothing comes when ipmi-rs waits no more.
            let patience = deadline + SLACK;
            let opened = catch_unwind(AssertUnwindSafe(|| activate(&relay, user, password, patience)));
            let inner = opened.unwrap_or_else(|_| Err(failed("a reply during its start cannot be read".to_owned())))?;
            let mut session = Session {
                wire: Wire {
                    inner,
                    deadline,
                    fault: lan_fault,
                },
                relay,
            };
            session.raise()?;
            Ok(Box::new(session))
        }
    }
}

fn activate(relay: &Relay, user: &str, password: &PasswordSource, patience: Duration) -> Result<Rmcp, BmcError> {
    let password = password.read()?;
    let mut rmcp = Rmcp::new(relay.address(), patience).map_err(|fault| failed(fault.to_string()))?;
    let activated = rmcp.activate(true, Some(user), Some(password.key().as_slice()));
    activated.map_err(|fault| failed(refusal(&fault)))?;
    Ok(rmcp)
}

/// In words, for the variants that say something to whoever runs the agent.
fn refusal(fault: &ActivationError) -> String {
    use {RakpMessage2ErrorStatusCode as Status, RakpMessage2ParseError as Parse, V2_0ActivationError as V2};
    match fault {
        ActivationError::PongReceive(_) => "no answer".to_owned(),
        ActivationError::BindSocket(why) => {
            format!("ipmi-rs wants a socket of IPv6, which this machine refuses: {why}")
        }
        ActivationError::V1_5(_) | ActivationError::NoSupportedIpmiLANVersions => "it does not speak RMCP+".to_owned(),
        ActivationError::V2_0(V2::ServerAuthenticationFailed | V2::RakpMessage4InvalidIntegrityCheckValue) => {
            "the user or the password is wrong".to_owned()
        }
        ActivationError::V2_0(V2::RakpMessage2Parse(Parse::ErrorStatusCode(
            Status::InvalidRole | Status::UnauthorizedRoleOrPrivilegeLevelRequested,
        ))) => NOT_ADMINISTRATOR.to_owned(),
        ActivationError::V2_0(V2::RakpMessage2Parse(why)) => format!("the user is refused: {why:?}"),
        ActivationError::V2_0(V2::RakpMessage4Parse(why)) => format!("the session is refused: {why:?}"),
        ActivationError::V2_0(V2::OpenSessionResponseParse(why)) => format!("no session: {why:?}"),
        fault => format!("{fault:?}"),
    }
}

fn failed(what: String) -> BmcError {
    let state = SourceState::Failed;
    BmcError::Open { what, state }
}

fn unreachable_device(path: &std::path::Path, fault: &io::Error) -> BmcError {
    let (state, hint) = match fault.kind() {
        io::ErrorKind::NotFound => (
            SourceState::Absent,
            "; wants a BMC and the modules ipmi_si and ipmi_devintf",
        ),
        io::ErrorKind::PermissionDenied => (
            SourceState::NoPermission,
            "; wants to be readable by the agent's user or group, by a udev rule",
        ),
        _ => (SourceState::Failed, ""),
    };
    let what = format!("{}: {fault}{hint}", path.display());
    BmcError::Open { what, state }
}

/// A connection of ipmi-rs.
struct Wire<C: IpmiConnection> {
    inner: C,
    deadline: Duration,
    fault: fn(&C::Error, Duration) -> BmcError,
}

impl<C: IpmiConnection + Send> Transport for Wire<C> {
    fn call(&mut self, command: &Command) -> Result<Reply, BmcError> {
        let mut request = request(command);
        let answered = catch_unwind(AssertUnwindSafe(|| self.inner.send_recv(&mut request)));
        let Ok(answered) = answered else {
            return Err(BmcError::Garbled("it cannot be decoded".to_owned()));
        };
        let reply = answered.map_err(|fault| (self.fault)(&fault, self.deadline))?;
        if reply.cmd() != command.command || reply.netfn_raw() != command.netfn | 1 {
            return Err(BmcError::Shifted);
        }
        Ok(Reply {
            code: reply.cc(),
            data: reply.data().to_vec(),
        })
    }
}

fn request(command: &Command) -> Request {
    let message = Message::new_request(NetFn::from(command.netfn), command.command, command.data.clone());
    let unit = LogicalUnit::from_low_bits(command.lun);
    Request::new(message, RequestTargetAddress::Bmc(unit))
}

fn is_timeout(fault: &io::Error) -> bool {
    matches!(fault.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn file_fault(fault: &io::Error, deadline: Duration) -> BmcError {
    if is_timeout(fault) {
        BmcError::Silent(deadline)
    } else {
        BmcError::Garbled(fault.to_string())
    }
}

fn lan_fault(fault: &RmcpIpmiError, deadline: Duration) -> BmcError {
    match fault {
        RmcpIpmiError::Receive(RmcpIpmiReceiveError::Io(why)) if is_timeout(why) => BmcError::Silent(deadline),
        RmcpIpmiError::Receive(RmcpIpmiReceiveError::Io(why)) => BmcError::Garbled(why.to_string()),
        fault => BmcError::Garbled(format!("{fault:?}")),
    }
}

/// An RMCP+ session.
struct Session {
    wire: Wire<Rmcp>,
    relay: Relay,
}

impl Session {
    /// Asks for the highest privilege that the user may have: a session begins as that of a mere user, to whom
    /// many BMCs do not answer DCMI commands.
    fn raise(&mut self) -> Result<(), BmcError> {
        let mut code = 0;
        for privilege in PRIVILEGES {
            code = self.call(&Command::new(0x06, 0x3b, &[privilege]))?.code;
            if code == 0 {
                return Ok(());
            }
        }
        Err(BmcError::Refused(code))
    }
}

impl Transport for Session {
    fn call(&mut self, command: &Command) -> Result<Reply, BmcError> {
        self.wire.call(command)
    }
}

impl Drop for Session {
    /// Ends the session (IPMI 2.0, 22.19). Nobody waits for the reply, which may never come.
    fn drop(&mut self) {
        let Some(id) = self.relay.session() else { return };
        let mut request = request(&Command::new(0x06, 0x3c, &id.to_le_bytes()));
        let sent = catch_unwind(AssertUnwindSafe(|| self.wire.inner.send(&mut request)));
        tracing::debug!(sent = matches!(sent, Ok(Ok(()))), "session with the BMC ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_that_is_no_administrator_is_told_what_to_do() {
        let status = RakpMessage2ErrorStatusCode::UnauthorizedRoleOrPrivilegeLevelRequested;
        let parse = RakpMessage2ParseError::ErrorStatusCode(status);
        let told = refusal(&ActivationError::V2_0(V2_0ActivationError::RakpMessage2Parse(parse)));
        assert!(told.contains("ipmitool user priv"), "{told}");
    }
}
