//! Load and running tasks: `/proc/loadavg` (`proc_loadavg(5)`).

use shadow::{Bound, Metric, Reading};

use super::{
    Place, Probe,
    file::KeptFile,
    parse::{fields, hundredths, number},
    put,
};
use crate::error::ProbeError;

/// Opens `/proc/loadavg`.
///
/// # Errors
/// [`ProbeError`] when it is not there or cannot be understood.
pub fn open(place: &Place) -> Result<Box<dyn Probe>, ProbeError> {
    let file = KeptFile::open(place.path("proc/loadavg"))?;
    if parse(&file.read()?).is_none() {
        return Err(file.format("is no load average"));
    }
    let metrics = vec![
        Metric::new("load.1m", "1", Bound::Absolute { step: 0.01 }),
        Metric::new("load.running", "{task}", Bound::Absolute { step: 1.0 }),
    ];
    Ok(Box::new(Load { file, metrics }))
}

struct Load {
    file: KeptFile,
    metrics: Vec<Metric>,
}

impl Probe for Load {
    fn location(&self) -> String {
        self.file.path().display().to_string()
    }

    fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    fn read(&mut self, _now_ns: u64, out: &mut [Reading]) -> Result<(), ProbeError> {
        let Some(values) = parse(&self.file.read()?) else {
            return Err(self.file.format("is no load average"));
        };
        put(out, values.map(Reading::new));
        Ok(())
    }

    fn record(&self, number: usize) -> Option<usize> {
        Some(self.file.record(number))
    }
}

/// Average of one minute, and tasks that can run now, of `0.20 0.18 0.12 1/80 11206`.
fn parse(text: &[u8]) -> Option<[f64; 2]> {
    let mut fields = fields(text);
    let load = hundredths(fields.next()?)?;
    let tasks = fields.nth(2)?;
    let running = tasks.split(|&b| b == b'/').next().and_then(number)?;
    Some([load, running as f64])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tree::{Tree, check, read};

    #[test]
    fn load_and_running_tasks_are_told() {
        let tree = Tree::new(&[("proc/loadavg", "1.25 0.18 0.12 3/80 11206\n")]);
        let mut probe = open(&tree.place()).unwrap();
        check(
            &read(probe.as_mut(), 0.0).unwrap(),
            &[("load.1m", 1.25), ("load.running", 3.0)],
        );
        tree.set("proc/loadavg", "1.25 0.18\n");
        assert!(read(probe.as_mut(), 1.0).is_err());
    }
}
