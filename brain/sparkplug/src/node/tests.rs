use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*, sample::subsequence};

use super::*;

fn name() -> Name {
    Name {
        group: "lab".to_owned(),
        node: "foreshadow".to_owned(),
    }
}

fn metric(name: &'static str, value: Value) -> Metric {
    Metric {
        name: name.into(),
        unit: "1",
        value,
    }
}

fn device(name: &str, cpu: f64) -> Device {
    Device {
        name: name.to_owned(),
        metrics: vec![
            metric("cpu/now", Value::Number(Some(cpu))),
            metric("power/now", Value::Number(None)),
            metric("state", Value::Text("online".to_owned())),
        ],
    }
}

fn picture(time_ms: UnixMs, devices: Vec<Device>) -> Picture {
    Picture {
        time_ms,
        metrics: vec![metric("frozen", Value::Flag(false))],
        devices,
    }
}

fn kinds(messages: &[Message]) -> Vec<String> {
    messages
        .iter()
        .map(|message| message.topic.replace("spBv1.0/lab/", ""))
        .collect()
}

/// What a host application of Sparkplug knows by what it has heard, and nothing else.
#[derive(Default)]
struct Host {
    next_seq: u64,
    bd_seq: Option<u64>,
    names: BTreeMap<u64, (Option<String>, String)>,
    values: BTreeMap<(Option<String>, String), Option<payload::Value>>,
}

impl Host {
    fn hears(&mut self, message: &Message) {
        let levels: Vec<&str> = message.topic.split('/').collect();
        assert_eq!((levels[0], levels[1], levels[3]), ("spBv1.0", "lab", "foreshadow"));
        let device = levels.get(4).map(|name| (*name).to_owned());
        let payload = Payload::decode(&*message.payload).unwrap();
        if levels[2] == "NBIRTH" {
            *self = Self::default();
        }
        assert_eq!(payload.seq, Some(self.next_seq), "{}", message.topic);
        assert!(payload.timestamp.is_some());
        self.next_seq = (self.next_seq + 1) % 256;
        if levels[2].ends_with("BIRTH") {
            self.forget(device.as_ref());
        }
        match levels[2] {
            "DDEATH" => self.forget(device.as_ref()),
            "NBIRTH" | "DBIRTH" => payload
                .metrics
                .into_iter()
                .for_each(|metric| self.learn(device.as_ref(), metric)),
            "NDATA" | "DDATA" => {
                assert!(!payload.metrics.is_empty(), "data without any");
                for metric in payload.metrics {
                    let place = self.names.get(&metric.alias.unwrap()).expect("an alias that was born");
                    assert_eq!(place.0, device);
                    assert_eq!((metric.name, metric.datatype), (None, None), "told at birth");
                    self.values.insert(place.clone(), metric.value);
                }
            }
            kind => panic!("{kind}"),
        }
    }

    fn learn(&mut self, device: Option<&String>, metric: payload::Metric) {
        let name = metric.name.unwrap();
        assert!(metric.datatype.is_some(), "{name}");
        assert_eq!(metric.is_null.unwrap_or(false), metric.value.is_none(), "{name}");
        let Some(alias) = metric.alias else {
            match (&*name, metric.value) {
                ("bdSeq", Some(payload::Value::Long(bd_seq))) => self.bd_seq = Some(bd_seq),
                ("Node Control/Rebirth", Some(payload::Value::Boolean(false))) => {}
                other => panic!("{other:?}"),
            }
            return;
        };
        let place = (device.cloned(), name);
        assert_eq!(self.names.insert(alias, place.clone()), None, "each alias once");
        self.values.insert(place, metric.value);
    }

    fn forget(&mut self, device: Option<&String>) {
        self.names.retain(|_, (of, _)| of.as_ref() != device);
        self.values.retain(|(of, _), _| of.as_ref() != device);
    }

    /// Whether it knows `picture`, as closely as it is to.
    fn knows(&self, picture: &Picture) {
        let own = picture.metrics.iter().map(|metric| (None, metric));
        let of_devices = picture
            .devices
            .iter()
            .flat_map(|device| device.metrics.iter().map(|metric| (Some(device.name.clone()), metric)));
        let all: Vec<_> = own.chain(of_devices).collect();
        assert_eq!(self.values.len(), all.len());
        for (device, metric) in all {
            let known = match self.values[&(device, metric.name.clone().into_owned())].clone() {
                None => Value::Number(None),
                Some(payload::Value::Double(number)) => Value::Number(Some(number)),
                Some(payload::Value::String(text)) => Value::Text(text),
                Some(payload::Value::Boolean(flag)) => Value::Flag(flag),
                Some(payload::Value::Long(_)) => panic!("no such value was told"),
            };
            assert!(!known.is_old_against(&metric.value), "{known:?} for {metric:?}");
        }
    }
}

#[test]
fn a_birth_tells_all_and_then_what_changes() {
    let mut node = Node::new(name(), 7);
    let first = picture(1_000, vec![device("a", 0.5), device("b", 0.5)]);
    let birth = node.birth(&first);
    assert_eq!(
        kinds(&birth),
        ["NBIRTH/foreshadow", "DBIRTH/foreshadow/a", "DBIRTH/foreshadow/b"]
    );
    let mut host = Host::default();
    for message in &birth {
        host.hears(message);
    }
    host.knows(&first);
    assert_eq!(host.bd_seq, Some(7));

    assert_eq!(node.news(&first), []);
    // A thousandth is not worth a message.
    assert_eq!(
        node.news(&picture(2_000, vec![device("a", 0.5004), device("b", 0.5)])),
        []
    );
    let moved = picture(3_000, vec![device("a", 0.6), device("b", 0.5)]);
    let news = node.news(&moved);
    assert_eq!(kinds(&news), ["DDATA/foreshadow/a"]);
    let payload = Payload::decode(&*news[0].payload).unwrap();
    assert_eq!(payload.metrics.len(), 1, "{payload:?}");
    assert_eq!(payload.metrics[0].value, Some(payload::Value::Double(0.6)));

    let gone = node.news(&picture(4_000, vec![device("b", 0.5)]));
    assert_eq!(kinds(&gone), ["DDEATH/foreshadow/a"]);
    // Who comes back, and whose metrics are others now, is born again.
    let mut other = device("b", 0.5);
    other.metrics.pop();
    let back = node.news(&picture(5_000, vec![device("a", 0.6), other]));
    assert_eq!(kinds(&back), ["DBIRTH/foreshadow/a", "DBIRTH/foreshadow/b"]);
}

#[test]
fn its_death_is_that_of_its_birth() {
    let death = name().death(7);
    assert_eq!(death.topic, "spBv1.0/lab/NDEATH/foreshadow");
    let payload = Payload::decode(&*death.payload).unwrap();
    assert_eq!(payload.seq, None);
    assert_eq!(payload.metrics, [bd_seq_metric(7, None)]);
}

#[test]
fn what_is_no_number_is_not_known() {
    let mut node = Node::new(name(), 0);
    node.birth(&picture(0, vec![device("a", f64::NAN)]));
    assert_eq!(node.news(&picture(1, vec![device("a", f64::NAN)])), []);
    assert_eq!(node.news(&picture(2, vec![device("a", 0.0)])).len(), 1);
    let news = node.news(&picture(3, vec![device("a", f64::INFINITY)]));
    let payload = Payload::decode(&*news[0].payload).unwrap();
    assert_eq!(
        (payload.metrics[0].is_null, &payload.metrics[0].value),
        (Some(true), &None)
    );
}

#[test]
fn a_rebirth_is_asked_for_by_its_name_and_a_true_value() {
    let command = |name: &str, value| {
        let metrics = vec![payload::Metric {
            name: Some(name.to_owned()),
            value: Some(value),
            ..payload::Metric::default()
        }];
        let payload = Payload {
            metrics,
            ..Payload::default()
        };
        asks_for_rebirth(&payload.encode_to_vec())
    };
    assert_eq!(command(REBIRTH, payload::Value::Boolean(true)), Ok(true));
    assert_eq!(command(REBIRTH, payload::Value::Boolean(false)), Ok(false));
    assert_eq!(command("Node Control/Reboot", payload::Value::Boolean(true)), Ok(false));
    assert!(asks_for_rebirth(&[0xff; 9]).is_err());
    assert!(asks_for_rebirth(&vec![0; MAX_COMMAND_BYTES + 1]).is_err());
}

/// Some of six devices, with values that move little or much.
fn pictures() -> impl Strategy<Value = Vec<(bool, Picture)>> {
    let devices = subsequence(vec!["a", "b", "c", "d", "e", "f"], 0..6).prop_flat_map(|names| {
        let count = names.len();
        (Just(names), vec((0.0..1.0_f64, any::<bool>()), count..=count))
    });
    let picture = devices.prop_map(|(names, values)| {
        let devices = names.into_iter().zip(values).map(|(name, (cpu, is_other))| {
            let mut device = device(name, if cpu < 0.1 { f64::NAN } else { cpu });
            device.metrics.truncate(if is_other { 2 } else { 3 });
            device
        });
        picture(1, devices.collect())
    });
    vec((prop::bool::weighted(0.1), picture), 1..40)
}

proptest! {
    /// Whatever happens, whoever listens from a birth on knows what there is, and misses no number.
    #[test]
    fn who_listens_knows_what_there_is(pictures in pictures()) {
        let (mut node, mut host) = (Node::new(name(), 0), Host::default());
        for (at, (is_asked, picture)) in pictures.iter().enumerate() {
            let messages = if at == 0 || *is_asked { node.birth(picture) } else { node.news(picture) };
            for message in &messages {
                host.hears(message);
            }
            host.knows(picture);
        }
    }
}
