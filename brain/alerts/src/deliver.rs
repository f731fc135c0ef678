//! A message's way out. Everything here may wait, as long as its deadline.

use std::{error::Error, fs, path::Path, time::Duration};

use lettre::{
    Message as Mail, SmtpTransport, Transport as _,
    message::{Mailbox, header::ContentType},
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
    },
};
use serde_json::Value;
use ureq::{
    Agent,
    tls::{Certificate as Root, PemItem, RootCerts, TlsConfig, parse_pem},
};

use crate::{
    config::{Kind, Receiver},
    message::Message,
};

/// How long one delivery may take, from the name's resolution to the answer.
const DEADLINE: Duration = Duration::from_secs(15);

/// Delivers `message` to `receiver`.
///
/// # Errors
/// Why not, in words that name no secret.
pub(crate) fn deliver(receiver: &Receiver, message: &Message) -> Result<(), String> {
    match receiver.kind {
        Kind::Webhook => post(receiver, &receiver.url, &message.json()),
        Kind::Alertmanager => {
            let url = format!("{}/api/v2/alerts", receiver.url.trim_end_matches('/'));
            post(receiver, &url, &message.alerts())
        }
        Kind::Mail => mail(receiver, message),
    }
}

fn post(receiver: &Receiver, url: &str, body: &Value) -> Result<(), String> {
    let tls = TlsConfig::builder()
        .root_certs(roots(receiver.ca_file.as_deref())?)
        .build();
    let agent: Agent = Agent::config_builder()
        .timeout_global(Some(DEADLINE))
        // A token is for who was named, and for nobody whom that one names.
        .max_redirects(0)
        .tls_config(tls)
        .user_agent(concat!("foreshadow/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    let mut request = agent.post(url).header("content-type", "application/json");
    if let Some(token) = receiver.secret()? {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let answer = request
        .send(body.to_string())
        .map_err(|error| format!("{url}: {error}"))?;
    let status = answer.status();
    if status.is_success() {
        Ok(())
    } else {
        Err(format!("{url} answers {status}"))
    }
}

fn roots(file: Option<&Path>) -> Result<RootCerts, String> {
    let Some(file) = file else { return Ok(RootCerts::WebPki) };
    let in_file = |error: String| format!("{}: {error}", file.display());
    let pem = fs::read(file).map_err(|error| in_file(error.to_string()))?;
    let roots: Vec<Root<'static>> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(root)) => Some(Ok(root)),
            Ok(_) => None,
            Err(error) => Some(Err(in_file(error.to_string()))),
        })
        .collect::<Result<_, _>>()?;
    if roots.is_empty() {
        Err(in_file("holds no certificate".to_owned()))
    } else {
        Ok(RootCerts::from(roots))
    }
}

fn mail(receiver: &Receiver, message: &Message) -> Result<(), String> {
    let mailbox = |address: &str| {
        address
            .parse::<Mailbox>()
            .map_err(|error| format!("{address:?}: {error}"))
    };
    let mut mail = Mail::builder()
        .from(mailbox(receiver.from.as_deref().unwrap_or_default())?)
        .subject(message.subject())
        .header(ContentType::TEXT_PLAIN);
    for to in &receiver.to {
        mail = mail.to(mailbox(to)?);
    }
    let mail = mail.body(message.text()).map_err(|error| error.to_string())?;
    let sent = transport(receiver)?.send(&mail);
    sent.map(drop)
        .map_err(|error| format!("{}: {}", receiver.url, with_causes(&error)))
}

fn transport(receiver: &Receiver) -> Result<SmtpTransport, String> {
    let told = |error: lettre::transport::smtp::Error| format!("{}: {}", receiver.url, with_causes(&error));
    let (scheme, rest) = receiver.url.split_once("://").unwrap_or(("smtp", &receiver.url));
    let (user, rest) = rest
        .split_once('@')
        .map_or((None, rest), |(user, rest)| (Some(user), rest));
    let mut builder = SmtpTransport::from_url(&format!("{scheme}://{rest}"))
        .map_err(told)?
        .timeout(Some(DEADLINE));
    if let (Some(user), Some(password)) = (user, receiver.secret()?) {
        builder = builder.credentials(Credentials::new(user.to_owned(), password));
    }
    if let Some(file) = &receiver.ca_file {
        let pem = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let host = rest.split([':', '/', '?']).next().unwrap_or_default();
        let parameters = TlsParameters::builder(host.to_owned())
            .add_root_certificate(Certificate::from_pem(&pem).map_err(told)?)
            .build()
            .map_err(told)?;
        builder = builder.tls(if scheme == "smtps" {
            Tls::Wrapper(parameters)
        } else {
            Tls::Required(parameters)
        });
    }
    Ok(builder.build())
}

fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
