use std::{collections::BTreeSet, path::Path, time::Duration};

use runtime::{Clock, Shutdown};
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinHandle};

use super::{client::enrol, server::*};
use crate::{Authority, PkiError, Subject, Token, authority::Whom, bundle::IDENTITY, issue, lifetime};

fn agent(name: &str) -> Subject {
    let own = format!("{name}/inband").parse().unwrap();
    Subject::agent(name, BTreeSet::from([own])).unwrap()
}

struct Lab {
    folder: TempDir,
    authority: Authority,
    tokens: Vec<Token>,
    address: String,
    server: JoinHandle<Result<Served, PkiError>>,
}

impl Lab {
    async fn new(hosts: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let authority = Authority::new(folder.path().join("pki"), None, clock.clone());
        authority.init("lab", lifetime::AUTHORITY_S).unwrap();
        let subjects: Vec<Subject> = (0..hosts).map(|n| agent(&format!("web-{n}"))).collect();
        let tokens = authority.tokens(&subjects, 600).unwrap();
        let any = "127.0.0.1:0".parse().unwrap();
        let life = Duration::from_mins(10);
        let server = Server::bind(authority.clone(), any, life, clock, Shutdown::new())
            .await
            .unwrap();
        Self {
            address: server.address().unwrap().to_string(),
            server: tokio::spawn(server.serve()),
            folder,
            authority,
            tokens,
        }
    }

    fn host(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    async fn enrol(&self, token: &Token, name: &str, out: &Path) -> Result<(), PkiError> {
        enrol(&self.address, token, &agent(name), out).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_enrol_at_once_while_others_say_nothing() {
    const HOSTS: usize = 50;
    let mut lab = Lab::new(HOSTS).await;
    let mut silent = Vec::new();
    for n in 0..10 {
        let mut stream = TcpStream::connect(&lab.address).await.unwrap();
        if n % 2 == 0 {
            stream.write_all(&[0x16, 3, 1, 1, 0, 1]).await.unwrap();
        }
        silent.push(stream);
    }
    let mut hosts = tokio::task::JoinSet::new();
    for (n, token) in lab.tokens.iter().cloned().enumerate() {
        let (address, out) = (lab.address.clone(), lab.host(&format!("web-{n}")));
        hosts.spawn(async move { enrol(&address, &token, &agent(&format!("web-{n}")), &out).await });
    }
    while let Some(enrolled) = hosts.join_next().await {
        enrolled.unwrap().unwrap();
    }
    drop(silent);
    let served = (&mut lab.server).await.unwrap().unwrap();
    assert_eq!((served.enrolled, served.open), (HOSTS as u64, 0));
    assert_eq!(lab.authority.index().unwrap().issued.len(), HOSTS);
    for n in 0..HOSTS {
        assert!(lab.host(&format!("web-{n}")).join(IDENTITY).exists());
    }
}

#[tokio::test]
async fn a_thief_and_a_stranger_enrol_nobody() {
    let mut lab = Lab::new(2).await;
    let out = lab.host("thief");
    lab.enrol(&lab.tokens[0], "web-0", &lab.host("web-0")).await.unwrap();
    let used = lab.enrol(&lab.tokens[0], "web-0", &out).await.unwrap_err().to_string();
    assert!(used.contains("unknown, used or late"), "{used}");
    let other = lab.enrol(&lab.tokens[1], "web-0", &out).await.unwrap_err().to_string();
    assert!(other.contains("foreshadow:lab/web-1/inband"), "{other}");
    // A server of another authority, and a token of one that this server knows nothing of.
    let mut foreign = lab.tokens[1].clone();
    foreign.authority[0] ^= 1;
    let fault = lab.enrol(&foreign, "web-1", &out).await.unwrap_err();
    assert!(matches!(fault, PkiError::Network { .. }), "{fault}");
    assert!(!out.join(IDENTITY).exists());
    // None of it has used the token up.
    lab.enrol(&lab.tokens[1], "web-1", &lab.host("web-1")).await.unwrap();
    let served = (&mut lab.server).await.unwrap().unwrap();
    assert_eq!((served.enrolled, served.refused), (2, 3));
}

#[tokio::test]
async fn an_answer_that_was_lost_is_given_again_to_the_same_key_alone() {
    let lab = Lab::new(2).await;
    let key = || {
        let pem = issue::request(&agent("web-0"), "lab", &issue::key().unwrap()).unwrap();
        issue::read_request(&pem).unwrap()
    };
    let (own, other) = (key(), key());
    let digest = lab.tokens[0].digest();
    let first = lab.authority.enrol(&digest, &own, "x").unwrap();
    assert_eq!(lab.authority.enrol(&digest, &own, "x").unwrap(), first);
    let fault = lab.authority.enrol(&digest, &other, "x").unwrap_err().to_string();
    assert!(fault.contains("unknown, used or late"), "{fault}");
    assert_eq!(lab.authority.index().unwrap().issued.len(), 1, "issued once");
    lab.authority.revoke(&Whom::Name("web-0".to_owned())).unwrap();
    assert!(lab.authority.enrol(&digest, &own, "x").is_err(), "revoked since");
    lab.server.abort();
}
