//! What the states of sensors are called, and how bad they are (IPMI 2.0, tables 42-2 and 42-3).
//!
//! The words are ours, the numbers the specification's.

use shadow::Severity;

/// Event/reading type of sensors whose states depend on what they sense.
pub const SENSOR_SPECIFIC: u8 = 0x6f;

/// What a sensor of type `kind` senses.
pub fn kind(kind: u8) -> &'static str {
    const KINDS: [&str; 45] = [
        "sensor",
        "temperature",
        "voltage",
        "current",
        "fan",
        "physical security",
        "platform security",
        "processor",
        "power supply",
        "power unit",
        "cooling device",
        "other",
        "memory",
        "drive slot",
        "memory resize",
        "firmware",
        "event log",
        "watchdog 1",
        "system event",
        "critical interrupt",
        "button",
        "module",
        "microcontroller",
        "add-in card",
        "chassis",
        "chip set",
        "FRU",
        "cable",
        "terminator",
        "system boot",
        "boot error",
        "OS boot",
        "OS stop",
        "slot",
        "ACPI power state",
        "watchdog",
        "platform alert",
        "entity presence",
        "monitor",
        "LAN",
        "management health",
        "battery",
        "session audit",
        "version change",
        "FRU state",
    ];
    match kind {
        0xc0..=0xff => "OEM sensor",
        _ => KINDS.get(usize::from(kind)).copied().unwrap_or("sensor"),
    }
}

/// What state `offset` of a sensor is called, and how bad it is; `None` where the specification does not say.
pub fn state(kind: u8, event_type: u8, offset: u8) -> Option<(&'static str, Severity)> {
    let (table, code) = match event_type {
        SENSOR_SPECIFIC => (SPECIFIC, kind),
        _ => (GENERIC, event_type),
    };
    let (_, states) = table.iter().find(|(other, _)| *other == code)?;
    let state = states.split('|').nth(usize::from(offset))?;
    let name = state.trim_start_matches('!');
    let severity = match state.len() - name.len() {
        0 => Severity::Info,
        1 => Severity::Warning,
        _ => Severity::Critical,
    };
    (!name.is_empty()).then_some((name, severity))
}

/// States that many sensors share, by event/reading type. Those behind `!` are bad, behind `!!` worse; none is a gap.
const GENERIC: &[(u8, &str)] = &[
    (0x02, "idle|active|busy"),
    (0x03, "state deasserted|state asserted"),
    (0x04, "no failure predicted|!failure predicted"),
    (0x05, "limit not exceeded|!limit exceeded"),
    (0x06, "performance met|!performance lags"),
    (
        0x07,
        "ok|!non-critical|!!critical|!!non-recoverable|!non-critical, was worse|!!critical, was worse|\
         !!non-recoverable|monitor|informational",
    ),
    (0x08, "absent|present"),
    (0x09, "disabled|enabled"),
    (
        0x0a,
        "running|in test|power off|on line|off line|off duty|!degraded|power save|!install error",
    ),
    (
        0x0b,
        "fully redundant|!redundancy lost|!redundancy degraded|!not redundant, sufficient|\
         !not redundant, sufficient again|!!not redundant, insufficient|!redundancy degraded from full|\
         !redundancy degraded from none",
    ),
    (0x0c, "D0|D1|D2|D3"),
];

/// States of `6Fh` sensors, by what they sense, written alike.
const SPECIFIC: &[(u8, &str)] = &[
    (
        0x05,
        "!chassis intrusion|!drive bay intrusion|!card area intrusion|!processor area intrusion|\
         !LAN leash lost|!unauthorised dock|!fan area intrusion",
    ),
    (
        0x06,
        "!secure mode violation|!user password violation|!setup password violation|\
         !network boot password violation|!other password violation|!out-of-band password violation",
    ),
    (
        0x07,
        "!!internal error|!!thermal trip|!!BIST failure|!!hang in POST|!!start-up failure|\
         !!configuration error|!!uncorrectable CPU complex error|present|!disabled|terminator present|\
         !throttled|!!uncorrectable machine check|!correctable machine check",
    ),
    (
        0x08,
        "present|!!failure|!failure predicted|!!input lost|!!input lost or out of range|\
         !input out of range|!configuration error|inactive",
    ),
    (
        0x09,
        "power off|power cycle|!!240 VA power down|!interlock power down|!!AC lost|\
         !!soft power control failure|!!power unit failure|!failure predicted",
    ),
    (
        0x0c,
        "!correctable ECC error|!!uncorrectable ECC error|!!parity error|!!scrub failed|!disabled|\
         !correctable ECC limit reached|present|!configuration error|spare|!throttled|\
         !!critical overtemperature",
    ),
    (
        0x0d,
        "present|!!fault|!failure predicted|hot spare|consistency check|!in a critical array|\
         !!in a failed array|!rebuilding|!rebuild aborted",
    ),
    (0x0f, "!!firmware error|!!firmware hang|firmware progress"),
    (
        0x10,
        "!correctable memory errors no longer logged|event type no longer logged|log cleared|\
         !all logging disabled|!log full|log almost full|!correctable machine checks no longer logged",
    ),
    (
        0x11,
        "!BIOS reset|!!OS reset|!OS shut down|!!OS power down|!!OS power cycle|!OS interrupt|!expired|\
         !pre-timeout interrupt",
    ),
    (
        0x12,
        "reconfigured|boot event|!!undetermined hardware failure|auxiliary log entry|\
         action of an event filter|clock set",
    ),
    (
        0x13,
        "!front panel NMI|!!bus timeout|!!I/O channel check NMI|!software NMI|!!PCI PERR|!!PCI SERR|\
         !!EISA timeout|!correctable bus error|!!uncorrectable bus error|!!fatal NMI|!!fatal bus error|\
         !bus degraded",
    ),
    (
        0x14,
        "power button|sleep button|reset button|FRU latch open|FRU service",
    ),
    (0x19, "!soft power control failure|!!thermal trip"),
    (0x1b, "connected|!configuration error"),
    (
        0x1d,
        "power up|hard reset|warm reset|network boot by user|diagnostics boot|hard reset by OS|\
         warm reset by OS|restart",
    ),
    (
        0x1e,
        "!no bootable media|!no bootable disk|!no network boot server|!invalid boot sector|\
         !boot selection timed out",
    ),
    (
        0x1f,
        "A: booted|C: booted|network booted|diagnostics booted|CD booted|ROM booted|booted|\
         installation started|installation completed|!installation aborted|!installation failed",
    ),
    (
        0x20,
        "!!stopped while loading|!!stopped|stopped gracefully|shut down gracefully|\
         !shut down by event filter|!agent not responding",
    ),
    (
        0x21,
        "!!fault|identify|installed|ready to install|ready to remove|power off|removal requested|\
         interlock|!disabled|spare",
    ),
    (
        0x22,
        "S0: working|S1|S2|S3|S4|S5: soft off|S4 or S5|G3: mechanical off|S1 to S3|G1|!S5 by override|\
         legacy on|legacy off",
    ),
    (
        0x23,
        "!expired|!!hard reset|!!power down|!!power cycle|||||!pre-timeout interrupt",
    ),
    (0x25, "present|absent|disabled"),
    (0x27, "!heartbeat lost|heartbeat"),
    (
        0x28,
        "!sensor access degraded|!controller access degraded|!management off line|\
         !management unavailable|!sensor failure|!FRU failure",
    ),
    (0x29, "!low|!!failed|present"),
    (
        0x2a,
        "session begun|session ended|!invalid user or password|!user locked out",
    ),
    (
        0x2b,
        "hardware changed|firmware changed|!hardware incompatible|!firmware incompatible|\
         !hardware unsupported|!firmware unsupported|hardware change succeeded|firmware change succeeded",
    ),
    (
        0x2c,
        "not installed|inactive|activation requested|activating|active|deactivation requested|\
         deactivating|!communication lost",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_named_as_far_as_they_are_known() {
        assert_eq!(kind(0x0c), "memory");
        assert_eq!(kind(0x2c), "FRU state");
        assert_eq!((kind(0x2d), kind(0xc1)), ("sensor", "OEM sensor"));
        assert_eq!(
            state(0x0c, SENSOR_SPECIFIC, 1),
            Some(("uncorrectable ECC error", Severity::Critical))
        );
        assert_eq!(
            state(0x08, 0x0b, 5),
            Some(("not redundant, insufficient", Severity::Critical))
        );
        assert_eq!(state(0x23, SENSOR_SPECIFIC, 5), None, "reserved");
        assert_eq!(state(0x0c, SENSOR_SPECIFIC, 15), None);
        assert_eq!(state(0x0c, 0x70, 1), None, "the manufacturer's own");
    }
}
