//! Who may do what: one table of all routes.
//!
//! A route is looked up by the pattern that the router has matched, never by the path that was asked for, so that no way of
//! writing a path leads past it. A route that is not in the table is answered to nobody.

use axum::http::Method;

use super::users::Role;

/// The least that somebody has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::page) enum Least {
    /// Anybody: nothing of the cell is told.
    Anyone,
    /// Somebody who has logged in, as whatever.
    Viewer,
    /// Somebody who may change something.
    Operator,
}

use Least::{Anyone, Operator, Viewer};

/// All routes, with who may ask for them (GET and HEAD) and who may change something there (POST).
const ROUTES: &[(&str, Option<Least>, Option<Least>)] = &[
    // The frame that the page is drawn in, the same for every cell.
    ("/", Some(Anyone), None),
    ("/assets/{name}", Some(Anyone), None),
    // Whether the brain is well; its probes have no password.
    ("/healthz", Some(Anyone), None),
    ("/login", Some(Anyone), Some(Anyone)),
    ("/logout", None, Some(Viewer)),
    ("/metrics", Some(Viewer), None),
    ("/api/v1/me", Some(Viewer), None),
    ("/api/v1/snapshot", Some(Viewer), None),
    ("/api/v1/fleet", Some(Viewer), None),
    ("/api/v1/hosts", Some(Viewer), None),
    ("/api/v1/hosts/{host}", Some(Viewer), None),
    ("/api/v1/hosts/{host}/inventory", Some(Viewer), None),
    ("/api/v1/hosts/{host}/readings", Some(Viewer), None),
    ("/api/v1/hosts/{host}/series", Some(Viewer), None),
    ("/api/v1/hosts/{host}/recent", Some(Viewer), None),
    (
        "/api/v1/hosts/{host}/incidents/{since_ms}/acknowledge",
        None,
        Some(Operator),
    ),
    ("/api/v1/incidents", Some(Viewer), None),
    ("/api/v1/commands", Some(Viewer), None),
    ("/api/v1/events", Some(Viewer), None),
    ("/api/v1/proposals", Some(Viewer), None),
    ("/api/v1/proposals/{id}/approve", None, Some(Operator)),
    ("/api/v1/proposals/{id}/decline", None, Some(Operator)),
    ("/api/v1/plan", Some(Viewer), None),
    ("/api/v1/scores", Some(Viewer), None),
    ("/api/v1/freeze", Some(Viewer), Some(Operator)),
    ("/api/v1/thaw", None, Some(Operator)),
    ("/api/v1/history/hosts", Some(Viewer), None),
    ("/api/v1/history/series", Some(Viewer), None),
    ("/api/v1/history/forecasts", Some(Viewer), None),
    ("/api/v1/history/anomalies", Some(Viewer), None),
    ("/api/v1/history/incidents", Some(Viewer), None),
    ("/api/v1/history/commands", Some(Viewer), None),
    ("/api/v1/history/proposals", Some(Viewer), None),
    ("/api/v1/history/events", Some(Viewer), None),
    ("/api/v1/history/plans", Some(Viewer), None),
    ("/api/v1/stream", Some(Viewer), None),
    ("/api/v1/openapi.json", Some(Viewer), None),
];

/// What the table says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::page) enum Rule {
    Needs(Least),
    /// The path is known, and this is done there by nobody; what is, as `Allow` says it.
    OtherMethod(&'static str),
    /// It is in no line.
    Unlisted,
}

/// What somebody has to be for `method` on the route of `pattern`; `None` is a path that no route has.
pub(in crate::page) fn rule(method: &Method, pattern: Option<&str>) -> Rule {
    let Some(pattern) = pattern else {
        return Rule::Needs(Viewer);
    };
    let Some((_, read, write)) = ROUTES.iter().find(|(known, ..)| *known == pattern) else {
        return Rule::Unlisted;
    };
    let least = match *method {
        Method::GET | Method::HEAD => *read,
        Method::POST => *write,
        _ => None,
    };
    let allowed = match (read, write) {
        (Some(_), Some(_)) => "GET,HEAD,POST",
        (Some(_), None) => "GET,HEAD",
        _ => "POST",
    };
    least.map_or(Rule::OtherMethod(allowed), Rule::Needs)
}

impl Least {
    /// Whether somebody of `role` is enough; `None` has not logged in.
    pub(in crate::page) fn is_met_by(self, role: Option<Role>) -> bool {
        match self {
            Anyone => true,
            Viewer => role.is_some(),
            Operator => role == Some(Role::Operator),
        }
    }
}

/// All routes, for tests that hold the router and the documentation against them.
#[cfg(test)]
pub(in crate::page) fn all() -> impl Iterator<Item = (&'static str, Option<Least>, Option<Least>)> {
    ROUTES.iter().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_listed_is_nobodys() {
        let of = |method: Method, pattern| rule(&method, Some(pattern));
        assert_eq!(of(Method::GET, "/api/v1/fleet"), Rule::Needs(Viewer));
        assert_eq!(of(Method::HEAD, "/api/v1/fleet"), Rule::Needs(Viewer));
        assert_eq!(of(Method::POST, "/api/v1/fleet"), Rule::OtherMethod("GET,HEAD"));
        assert_eq!(of(Method::POST, "/api/v1/freeze"), Rule::Needs(Operator));
        assert_eq!(of(Method::DELETE, "/api/v1/freeze"), Rule::OtherMethod("GET,HEAD,POST"));
        assert_eq!(of(Method::GET, "/api/v1/thaw"), Rule::OtherMethod("POST"));
        for pattern in [
            "/api/v1/fleet/",
            "//api/v1/fleet",
            "/api/v1/new",
            "/api/v1/hosts/web-1",
            "",
        ] {
            assert_eq!(of(Method::GET, pattern), Rule::Unlisted, "{pattern}");
        }
        assert_eq!(rule(&Method::GET, None), Rule::Needs(Viewer));
    }

    #[test]
    fn nothing_is_changed_by_who_may_only_read() {
        for (pattern, read, write) in all() {
            assert!(
                read != Some(Operator) && (read.is_some() || write.is_some()),
                "{pattern}"
            );
            let everybody = ["/login", "/logout"].contains(&pattern);
            assert!(everybody || write.is_none_or(|least| least == Operator), "{pattern}");
        }
        assert!(!Operator.is_met_by(Some(Role::Viewer)) && !Operator.is_met_by(None) && !Viewer.is_met_by(None));
        assert!(
            Operator.is_met_by(Some(Role::Operator)) && Viewer.is_met_by(Some(Role::Viewer)) && Anyone.is_met_by(None)
        );
    }
}
