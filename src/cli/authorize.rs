//! `connection authorize`: an owner grants access in a browser, and the token set goes straight into the vault.
//!
//! The hard problem is how the code comes back: the browser is seldom on the host of the vault. The answer: the address to
//! which the provider sent it is handed in, as the browser shows it, whether or not anything answers there. It is good for
//! nothing without the verifier, which the daemon keeps (RFC 7636).
//!
//! Never prints the code, and takes none that belongs to another authorization.

use clap::Args;
use tokenkeep_client::ids::{ConnectionId, OrgId};
use tokenkeep_client::limits;
use tokenkeep_client::secret::AuthorizationCode;
use tokenkeep_client::wire::{AuthorizationRequest, CompleteRequest, ConnectionOut};
use zeroize::Zeroizing;

use super::Session;
use super::failure::Failure;
use super::input::line;
use super::output::complain;

/// An address with a code, a state and an issuer.
const BACK_MOST: usize = 3 * limits::REDIRECT_URI;

/// What an owner is to be asked.
#[derive(Args)]
pub(super) struct Authorize {
    /// The org
    org: OrgId,
    /// PROVIDER/NAME
    connection: ConnectionId,
    /// Where the provider sends the browser back to, as it is registered there; nothing needs to answer there
    #[arg(long, value_name = "URL")]
    redirect_uri: String,
    /// What is asked for, once for each; the provider's own choice where left out
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
}

impl Session {
    pub(super) async fn authorize(&mut self, asked: Authorize) -> Result<ConnectionOut, Failure> {
        let Authorize { org, connection, redirect_uri, scopes } = asked;
        let request = AuthorizationRequest {
            provider: connection.provider,
            name: connection.name,
            redirect_uri,
            scopes,
        };
        let begun = self.client.org(&org).begin_authorization(&request).await?;
        complain(&format_args!("Open this in the owner's browser, before {}:", begun.expires_at));
        complain(&begun.url);
        complain(&"Then paste the address to which it was sent back, and press Enter:");
        let back = came_back(&address()?, begun.state.as_str())?;
        Ok(self.client.org(&org).complete_authorization(&begun.state, &back).await?)
    }
}

fn address() -> Result<Zeroizing<Vec<u8>>, Failure> {
    match line(BACK_MOST) {
        Ok(line) if !line.is_empty() => Ok(line),
        Ok(_) | Err(_) => {
            Err(Failure::here("input", "no address came").mend("nothing was stored; begin again"))
        }
    }
}

/// What the query of the address says (RFC 6749, section 4.1.2; RFC 9207, section 2).
fn came_back(address: &[u8], state: &str) -> Result<CompleteRequest, Failure> {
    let wrong = |detail: &str| Failure::here("authorization", detail).mend("nothing was stored; begin again");
    let query = address.trim_ascii().splitn(2, |byte| *byte == b'?').nth(1).unwrap_or_default();
    let query = query.split(|byte| *byte == b'#').next().unwrap_or_default();
    let (mut code, mut iss, mut told, mut is_declined) = (None, None, None, false);
    for (name, value) in form_urlencoded::parse(query) {
        match &*name {
            "code" => code = Some(AuthorizationCode::new(value.into_owned())),
            "iss" => iss = Some(value.into_owned()),
            "state" => told = Some(value.into_owned()),
            "error" => is_declined = true,
            _ => {}
        }
    }
    match (told, code) {
        (Some(told), _) if told != state => {
            Err(wrong("this address belongs to another authorization, or somebody has changed it"))
        }
        (Some(_), _) if is_declined => Err(wrong("the provider did not grant it: it was declined there")),
        (Some(_), Some(code)) => Ok(CompleteRequest { code, iss }),
        (None, _) | (_, None) => Err(wrong("this is no address with a code and a state")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is handed in.
    fn told(address: &str) -> Result<String, String> {
        let back = came_back(address.as_bytes(), "s1").map_err(|failure| format!("{failure:?}"))?;
        Ok(String::from_utf8_lossy(&back.body()).into_owned())
    }

    #[test]
    fn an_address_is_taken_for_its_own_authorization_alone() {
        let fine = Ok(r#"{"code":"a b","iss":"https://idp.example"}"#.to_owned());
        let whole = "http://127.0.0.1/cb?x=1&code=a%20b&state=s1&iss=https%3A%2F%2Fidp.example#f\n";
        assert_eq!(told(whole), fine);
        assert_eq!(told("app:/cb?state=s1&code=c"), Ok(r#"{"code":"c"}"#.to_owned()));
        for (bad, word) in [
            ("http://127.0.0.1/cb?code=c&state=s2", "another"),
            ("http://127.0.0.1/cb?state=s1&error=access_denied", "declined"),
            ("http://127.0.0.1/cb?code=c", "no address"),
            ("http://127.0.0.1/cb?state=s1", "no address"),
            ("c", "no address"),
        ] {
            assert!(told(bad).is_err_and(|why| why.contains(word)), "{bad}");
        }
    }
}
