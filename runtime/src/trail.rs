//! Events of the tracing target `audit`, for whoever keeps them: a part tells of logins and the like as it logs, and the
//! process says where they are kept once it knows.

use std::{
    fmt::{self, Write},
    sync::OnceLock,
};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, filter_fn},
    layer::Context,
    registry::LookupSpan,
};

/// The target of events that are kept.
pub const TARGET: &str = "audit";

/// Fields of one event that are handed on; further ones are not.
const MAX_FIELDS: usize = 16;

/// The fields of an event, in the order in which they were told: names and values.
pub type Told = Vec<(&'static str, String)>;

type Keeper = Box<dyn Fn(Told) + Send + Sync>;

static KEEPER: OnceLock<Keeper> = OnceLock::new();

/// Hands every event of [`TARGET`] that is not for debugging to `keeper` from now on, whatever the log's filter says. It must not wait. Whether it was
/// the first to ask: there is one.
pub fn keep(keeper: impl Fn(Told) + Send + Sync + 'static) -> bool {
    KEEPER.set(Box::new(keeper)).is_ok()
}

/// Sees the events of the target; [`crate::logging::init`] puts it there. What it does not want costs nothing.
pub(crate) fn layer<S: Subscriber + for<'a> LookupSpan<'a>>() -> impl Layer<S> {
    let most = LevelFilter::INFO;
    let ours = filter_fn(move |found| found.target() == TARGET && *found.level() <= most).with_max_level_hint(most);
    Trail.with_filter(ours)
}

struct Trail;

impl<S: Subscriber> Layer<S> for Trail {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if let Some(keeper) = KEEPER.get() {
            let mut fields = Fields(Vec::new());
            event.record(&mut fields);
            keeper(fields.0);
        }
    }
}

struct Fields(Told);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        if self.0.len() < MAX_FIELDS {
            self.0.push((field.name(), value.to_owned()));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        if write!(text, "{value:?}").is_ok() {
            self.record_str(field, &text);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::{Registry, layer::SubscriberExt};

    use super::*;

    #[test]
    fn events_of_the_target_are_kept_and_no_others() {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&kept);
        assert!(keep(move |told| sink.lock().unwrap().push(told)));
        assert!(!keep(drop));
        // Beside a log that wants all there is.
        let all = tracing_subscriber::fmt::layer()
            .with_writer(std::io::sink)
            .with_filter(LevelFilter::TRACE);
        tracing::subscriber::with_default(Registry::default().with(all).with(layer()), || {
            let peer = std::net::Ipv4Addr::LOCALHOST;
            tracing::warn!(target: "audit", event = "login", accepted = false, %peer, user = Some("ann"), none = None::<&str>);
            tracing::warn!(event = "login");
            tracing::debug!(target: "audit", event = "login");
        });
        let kept = kept.lock().unwrap();
        let told: Vec<(&str, &str)> = kept[0].iter().map(|(name, value)| (*name, value.as_str())).collect();
        let fields = [
            ("event", "login"),
            ("accepted", "false"),
            ("peer", "127.0.0.1"),
            ("user", "ann"),
        ];
        assert_eq!((kept.len(), told), (1, fields.to_vec()));
    }
}
