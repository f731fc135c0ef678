//! How somebody shows who they are, and what each route needs, from the table of roles.

use axum::http::Method;
use utoipa::openapi::{
    HttpMethod,
    security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
};

use crate::page::login::roles::{Least, Rule, rule};

const BASIC: &str = "basic";
const SESSION: &str = "session";

/// The ways there are.
pub(super) fn schemes() -> [(&'static str, SecurityScheme); 2] {
    let mut basic = Http::new(HttpAuthScheme::Basic);
    basic.description = Some("Name and password of a user, with each request: for programs".to_owned());
    let session = ApiKeyValue::with_description(
        "__Host-foreshadow-8420",
        "The session that the form at /login begins; the number is that of the port, and plain HTTP has no __Host-",
    );
    [
        (BASIC, SecurityScheme::Http(basic)),
        (SESSION, SecurityScheme::ApiKey(ApiKey::Cookie(session))),
    ]
}

/// Any of these, and in words who may; nothing of both where everybody may. Where nobody logs in, all of it is open.
pub(super) fn needed(method: &HttpMethod, path: &str) -> (Vec<SecurityRequirement>, Option<&'static str>) {
    let method = if *method == HttpMethod::Post {
        Method::POST
    } else {
        Method::GET
    };
    let who = match rule(&method, Some(path)) {
        Rule::Needs(Least::Anyone) => return (Vec::new(), None),
        Rule::Needs(Least::Viewer) => "For viewers and operators, where people log in.",
        Rule::Needs(Least::Operator) => {
            "For operators, where people log in; elsewhere for nobody, or with `page.local_role` for callers of the brain's own machine."
        }
        Rule::OtherMethod(_) | Rule::Unlisted => "For nobody.",
    };
    let each = [BASIC, SESSION].map(|scheme| SecurityRequirement::new(scheme, Vec::<String>::new()));
    (each.to_vec(), Some(who))
}
