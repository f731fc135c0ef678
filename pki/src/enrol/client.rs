//! The host's side of enrolment: its key is made here, and never leaves.

use std::{path::Path, time::Duration};

use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};
use trust::{Authorities, Identity, Pair, files};

use crate::{
    PkiError, Subject, Token,
    authority::fingerprint,
    bundle::{self, CA, CRL, IDENTITY},
    enrol::{Answer, MAX_ANSWER, Question, VERSION, line, pin},
    issue,
};

/// How long all of it may take: the server may have a hundred others.
const DEADLINE: Duration = Duration::from_mins(1);

/// A server that is just being started is waited for, so often and so long each time.
const STARTING: u32 = 20;
const STARTS: Duration = Duration::from_millis(250);

/// How often is asked where the connection is lost.
const ASKS: u32 = 3;

/// What is written first, and takes its place when it was found good.
const CANDIDATE: &str = "identity.pem.new";

/// Enrols as `subject` at `server` (HOST:PORT) by `token`, and writes the three files into `folder`.
///
/// # Errors
/// [`PkiError`] when the server is not the token's, refuses, or what it gives is of no use; nothing of what was there
/// before is changed then.
pub async fn enrol(server: &str, token: &Token, subject: &Subject, folder: &Path) -> Result<(), PkiError> {
    let key = issue::key()?;
    let question = Question {
        version: VERSION,
        token: token.to_string(),
        request: issue::request(subject, &token.cell, &key)?,
    };
    let late = |_| PkiError::network(server)(std::io::ErrorKind::TimedOut.into());
    let answer = timeout(DEADLINE, ask_surely(server, token, &question))
        .await
        .map_err(late)??;
    let (certificate, ca, crl) = match answer {
        Answer::Enrolled { certificate, ca, crl } => (certificate, ca, crl),
        Answer::Refused { refused } => return Err(PkiError::Refused(refused)),
    };
    let newest = fingerprint(&ca)?;
    if newest != token.authority {
        return Err(PkiError::Refused(
            "the authorities that the server gives are not the token's: is it the server of the cell that the token is of?"
                .to_owned(),
        ));
    }
    files::folder(folder)?;
    let candidate = folder.join(CANDIDATE);
    files::replace(
        &candidate,
        bundle::identity(&certificate, &issue::key_pem(&key)?).as_bytes(),
    )?;
    Identity::load(&Pair {
        certificate: candidate.clone(),
        key: candidate.clone(),
    })?;
    bundle::refresh(folder, &ca, &crl)?;
    Authorities::load(&trust::Config {
        ca: folder.join(CA),
        crl: Some(folder.join(CRL)),
        identities: Vec::new(),
        sign_frames: true,
    })?;
    let place = folder.join(IDENTITY);
    std::fs::rename(&candidate, &place).map_err(|source| trust::TrustError::File { path: place, source }.into())
}

/// Asks again where the connection is lost behind the question: with the same key the answer is the same, though the token
/// was used up.
async fn ask_surely(server: &str, token: &Token, question: &Question) -> Result<Answer, PkiError> {
    let mut bytes = serde_json::to_vec(question).map_err(|error| PkiError::asked(error.to_string()))?;
    bytes.push(b'\n');
    let mut asked = 1;
    let answer = loop {
        let mut stream = open(server, token).await?;
        match ask(&mut stream, &bytes).await {
            Err(_) if asked < ASKS => asked += 1,
            answered => break answered.map_err(PkiError::network(server))?,
        }
        tokio::time::sleep(STARTS).await;
    };
    serde_json::from_slice(&answer).map_err(|error| PkiError::Refused(format!("the answer cannot be read: {error}")))
}

/// A connection to the token's server.
async fn open(server: &str, token: &Token) -> Result<TlsStream<TcpStream>, PkiError> {
    let lost = || PkiError::network(server);
    let tls = TlsConnector::from(pin::client(token.authority)?);
    let stream = reach(server).await.map_err(lost())?;
    tls.connect(pin::server_name()?, stream).await.map_err(lost())
}

async fn ask(stream: &mut TlsStream<TcpStream>, question: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(question).await?;
    stream.flush().await?;
    line(stream, MAX_ANSWER).await
}

/// Connects, and tries again for a while where nobody listens yet: the server may be starting.
async fn reach(server: &str) -> std::io::Result<TcpStream> {
    let refused = |error: &std::io::Error| error.kind() == std::io::ErrorKind::ConnectionRefused;
    let mut tries = 0;
    loop {
        match TcpStream::connect(server).await {
            Err(error) if refused(&error) && tries < STARTING => tries += 1,
            other => return other,
        }
        tokio::time::sleep(STARTS).await;
    }
}
