//! What a host's BMC sets: its limit of power, and that it is on.
//!
//! Each look and each change has a session of its own: the worker that reads sensors keeps its own, and a BMC that is slow
//! keeps nobody waiting but the levers.

use std::{thread, time::Duration};

use shadow::HOST_WORKLOAD;

use super::{Ask, Lever, LeverError, Quantity, Turn};
use crate::bmc::{
    BmcError, client,
    dcmi::{Enforced, Exceeded, PowerLimit, SafeLimit},
    session::{Address, Transport, open},
    watch::Settings,
};

/// Within which a BMC brings power below a new limit, and over which it averages, where it has had none.
const CORRECTION_MS: u32 = 1_000;
const PERIOD_S: u16 = 1;

/// How long a host may take until its BMC says that it is on, and between two looks.
const POWER_UP: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(250);

/// Where a host's BMC is.
#[derive(Debug, Clone)]
struct Bmc {
    address: Address,
    deadline: Duration,
}

impl Bmc {
    fn ask<T>(&self, then: impl FnOnce(&mut dyn Transport) -> Result<T, BmcError>) -> Result<T, LeverError> {
        let asked = open(&self.address, self.deadline).and_then(|mut transport| then(transport.as_mut()));
        asked.map_err(|fault| LeverError::Failed(fault.to_string()))
    }
}

/// The levers of the BMC that is asked as `settings` say.
pub(crate) fn levers(settings: &Settings) -> Vec<Box<dyn Lever>> {
    let bmc = Bmc {
        address: settings.address.clone(),
        deadline: settings.deadline,
    };
    vec![Box::new(PowerCap(bmc.clone())), Box::new(Chassis(bmc))]
}

fn of_the_host(ask: Ask<'_>) -> Result<(), String> {
    if ask.workload == HOST_WORKLOAD {
        Ok(())
    } else {
        Err("a BMC knows the host as a whole alone".to_owned())
    }
}

/// The limit of DCMI. It outlives the machine's start.
struct PowerCap(Bmc);

impl Lever for PowerCap {
    fn name(&self) -> &'static str {
        "dcmi"
    }

    fn quantity(&self) -> Quantity {
        Quantity::Power
    }

    fn aim(&mut self, ask: Ask<'_>) -> Result<Vec<Turn>, String> {
        of_the_host(ask)?;
        let stands = self.0.ask(client::power_limit).map_err(|fault| fault.to_string())?;
        let limit = aimed(ask.amount, stands)?;
        Ok(vec![Turn {
            subject: HOST_WORKLOAD.to_owned(),
            text: text(&limit),
            note: String::new(),
        }])
    }

    fn read(&mut self, _subject: &str) -> Result<String, LeverError> {
        let limit = self.0.ask(client::power_limit)?;
        if !limit.active {
            return Ok(NONE.to_owned());
        }
        let safe = limit.to_safe().ok_or_else(|| LeverError::Failed(DEADLY.to_owned()))?;
        Ok(text(&safe))
    }

    fn write(&mut self, _subject: &str, text: &str) -> Result<(), LeverError> {
        if text == NONE {
            return self.0.ask(|bmc| client::enforce_power_limit(bmc, Enforced::No));
        }
        let limit = parse(text).ok_or_else(|| LeverError::Failed(format!("{text:?} is no limit")))?;
        self.0.ask(|bmc| {
            client::set_power_limit(bmc, &limit)?;
            client::enforce_power_limit(bmc, Enforced::Yes)
        })
    }

    fn amount(&mut self, _subject: &str, text: &str) -> Option<f64> {
        parse(text).map(|limit| f64::from(limit.watts))
    }

    fn outlives_reboot(&self) -> bool {
        true
    }

    fn is_slow(&self) -> bool {
        true
    }
}

/// What stands where nothing is limited.
const NONE: &str = "none";

const DEADLY: &str = "the limit that is set there switches the host off, or does what is not known; it is left alone";

/// The limit to set: its times are those of the one that is there, and so is what happens past it.
fn aimed(watts: f64, stands: PowerLimit) -> Result<SafeLimit, String> {
    let whole = format!("{watts:.0}").parse().ok().filter(|watts: &u16| *watts > 0);
    let watts = whole.ok_or_else(|| format!("{watts} W is not from 1 to 65535"))?;
    let fresh = SafeLimit {
        watts,
        exceeded: Exceeded::Ignored,
        correction_ms: CORRECTION_MS,
        period_s: PERIOD_S,
    };
    if !stands.active {
        return Ok(fresh);
    }
    let stands = stands.to_safe().ok_or(DEADLY)?;
    Ok(SafeLimit { watts, ..stands })
}

/// `300 W, correction 1000 ms, period 1 s, logged`.
fn text(limit: &SafeLimit) -> String {
    let SafeLimit {
        watts,
        exceeded,
        correction_ms,
        period_s,
    } = limit;
    let word = match exceeded {
        Exceeded::Ignored => "ignored",
        Exceeded::Logged => "logged",
    };
    format!("{watts} W, correction {correction_ms} ms, period {period_s} s, {word}")
}

fn parse(text: &str) -> Option<SafeLimit> {
    let mut parts = text.split(", ");
    let (watts, correction) = (parts.next()?, parts.next()?);
    let (period, word) = (parts.next()?, parts.next()?);
    Some(SafeLimit {
        watts: watts.strip_suffix(" W")?.parse().ok()?,
        correction_ms: correction
            .strip_prefix("correction ")?
            .strip_suffix(" ms")?
            .parse()
            .ok()?,
        period_s: period.strip_prefix("period ")?.strip_suffix(" s")?.parse().ok()?,
        exceeded: match word {
            "ignored" => Exceeded::Ignored,
            "logged" => Exceeded::Logged,
            _ => return None,
        },
    })
}

/// Switches the host on. There is nothing here that switches it off, and the end of a lease does not either.
struct Chassis(Bmc);

const ON: &str = "on";

impl Lever for Chassis {
    fn name(&self) -> &'static str {
        "chassis"
    }

    fn quantity(&self) -> Quantity {
        Quantity::Chassis
    }

    fn aim(&mut self, ask: Ask<'_>) -> Result<Vec<Turn>, String> {
        of_the_host(ask)?;
        Ok(vec![Turn {
            subject: HOST_WORKLOAD.to_owned(),
            text: ON.to_owned(),
            note: String::new(),
        }])
    }

    fn read(&mut self, _subject: &str) -> Result<String, LeverError> {
        let chassis = self.0.ask(client::chassis)?;
        Ok(if chassis.is_on() { ON } else { "off" }.to_owned())
    }

    fn write(&mut self, subject: &str, text: &str) -> Result<(), LeverError> {
        if text != ON {
            return Err(LeverError::Failed("a host is switched on, and never off".to_owned()));
        }
        self.0.ask(client::power_up)?;
        let looks = POWER_UP.as_millis() / LOOK.as_millis();
        for _ in 0..looks {
            if self.read(subject)? == ON {
                break;
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }

    fn amount(&mut self, _subject: &str, text: &str) -> Option<f64> {
        Some(if text == ON { 1.0 } else { 0.0 })
    }

    fn is_final(&self) -> bool {
        true
    }

    fn is_slow(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_comes_back_from_its_text() {
        let stands = |active, action| PowerLimit {
            active,
            action,
            watts: 400,
            correction_ms: 6_000,
            period_s: 10,
        };
        let fresh = aimed(299.6, stands(false, 1)).unwrap();
        assert_eq!(text(&fresh), "300 W, correction 1000 ms, period 1 s, ignored");
        let kept = aimed(300.0, stands(true, 0x11)).unwrap();
        assert_eq!(text(&kept), "300 W, correction 6000 ms, period 10 s, logged");
        for limit in [fresh, kept] {
            assert_eq!(parse(&text(&limit)), Some(limit));
        }
        assert!(
            aimed(300.0, stands(true, 1))
                .unwrap_err()
                .contains("switches the host off")
        );
        assert!(aimed(0.2, stands(false, 0)).is_err() && aimed(70_000.0, stands(false, 0)).is_err());
        for bad in [
            "none",
            "",
            "300",
            "300 W, correction 1 ms, period 1 s, off",
            "70000 W, correction 1 ms, period 1 s, logged",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
