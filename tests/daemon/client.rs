//! The client of the contract, against the daemon of the contract, through each door.

use std::time::Duration;

use tokenkeep_client::ids::{ConnectionId, OrgId};
use tokenkeep_client::mtls::Credentials;
use tokenkeep_client::secret::{AccessToken, Plaintext, RefreshToken};
use tokenkeep_client::wire::TokenSet;
use tokenkeep_client::{Client, Condition, Error, Handshake, Org, Transport};

use crate::kit::pki::{Identity, Wish};
use crate::kit::way::{Door, WAYS, doors};
use crate::kit::{Configuration, TestVault};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn address(vault: &TestVault) -> String {
    format!("localhost:{}", vault.mtls_address().port())
}

fn client(vault: &TestVault) -> Client {
    match vault.pem() {
        None => Client::unix(vault.socket()),
        Some([ca, certificate, key]) => {
            let [certificate, key, ca] = [certificate, key, ca].map(str::as_bytes);
            Client::mtls(&address(vault), Credentials::from_pem(certificate, key, ca).unwrap()).unwrap()
        }
    }
}

#[test]
fn the_client_speaks_to_the_real_daemon() {
    for door in doors() {
        let vault = TestVault::over(door, Configuration::default());
        let client = client(&vault);
        runtime().block_on(async {
            client.ready().await.unwrap();
            let shown = client.status().await.unwrap().principal;
            assert_eq!(shown.proof, if door.door == Door::Mtls { "mtls" } else { "unix" });
            let acme = OrgId::parse("acme").unwrap();
            let org = client.org(&acme);
            org.create().await.unwrap();
            keeps_and_gives_tokens(&org).await;
            hands_on_a_part_of_its_rights(&org).await;
            encrypts_and_decrypts(&org).await;
        });
    }
}

async fn keeps_and_gives_tokens(org: &Org<'_>) {
    let id: ConnectionId = "github/main".parse().unwrap();
    let mut set = TokenSet::new(AccessToken::new("at".into()));
    set.refresh_token = Some(RefreshToken::new("rt".into()));
    set.expires_in = Some(3600);
    set.account = Some("u1".into());
    assert!(!org.put_connection(&id, &set, Condition::Absent).await.unwrap().same_account);
    let other: ConnectionId = "github/other".parse().unwrap();
    let mut again = TokenSet::new(AccessToken::new("at of the other".into()));
    again.account = Some("u1".into());
    assert!(org.put_connection(&other, &again, Condition::Absent).await.unwrap().same_account);
    assert_eq!(org.token(&id, Duration::from_secs(60)).await.unwrap().access_token.expose(), "at");
    assert_eq!(org.refresh_token(&id).await.unwrap().refresh_token.expose(), "rt");
    let refused = org.newer_token(&id, 1).await.unwrap_err();
    assert_eq!(refused.code(), Some("needs_reauth"));
    let many = org.tokens(&[id.clone(), "github/none".parse().unwrap()], Duration::ZERO).await.unwrap();
    assert_eq!(many[0].as_ref().unwrap().access_token.expose(), "at");
    assert_eq!(many[1].as_ref().unwrap_err().code(), Some("not_found"));
    org.delete_connection(&id).await.unwrap();
    assert_eq!(org.token(&id, Duration::ZERO).await.unwrap_err().code(), Some("not_found"));
}

async fn hands_on_a_part_of_its_rights(org: &Org<'_>) {
    let issued = org.pass(&["org:read"], Duration::from_secs(60)).await.unwrap();
    let less = org.with_pass(&issued.pass);
    less.show().await.unwrap();
    assert_eq!(less.create().await.unwrap_err().code(), Some("forbidden"));
}

async fn encrypts_and_decrypts(org: &Org<'_>) {
    let plaintexts = [Plaintext::new(b"one".to_vec()), Plaintext::new(vec![0, 255, 7])];
    let mut sealed = org.encrypt(&plaintexts).await.unwrap();
    sealed.push("garbage".into());
    let opened = org.decrypt(&sealed).await.unwrap();
    for (plaintext, opened) in plaintexts.iter().zip(&opened) {
        assert_eq!(opened.as_ref().unwrap(), plaintext);
    }
    assert_eq!(opened[2].as_ref().unwrap_err().code(), Some("invalid_request"));
    let unknown = org.decrypt_under(&"of-nobody".parse().unwrap(), &sealed).await;
    assert!(unknown.is_err(), "there is no such key");
}

/// In TLS 1.3 the daemon says so only when a request may be on its way already.
#[test]
fn the_client_understands_that_its_certificate_is_not_taken() {
    let vault = TestVault::over(WAYS[2], Configuration::default());
    let pki = vault.pki();
    let name = crate::kit::vault::OWN_SAN;
    let ask = |identity: &Identity| {
        let ca = pki.servers.certificate.as_bytes();
        let credentials =
            Credentials::from_pem(identity.chain.as_bytes(), identity.key.as_bytes(), ca).unwrap();
        let client = Client::mtls(&address(&vault), credentials).unwrap();
        runtime().block_on(async { client.status().await.map(|status| status.principal.name) })
    };
    for wrong in [pki.others.issue(&Wish::client(name)), pki.clients.issue(&Wish::client(name).expired())] {
        assert_eq!(ask(&wrong), Err(Error::Transport(Transport::Handshake(Handshake::Refused))));
    }
    assert_eq!(ask(&pki.client(name)), Ok("app".to_owned()));
    let stranger = ask(&pki.client(crate::kit::vault::STRANGER_SAN)).unwrap_err();
    assert_eq!(stranger.code(), Some("unauthenticated"), "its certificate is taken, its name is not");
}
