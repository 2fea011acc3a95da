//! What an ID token says of whose it is (OpenID Connect Core 1.0, section 2).
//!
//! The hard problem: which account a grant is of cannot be seen in its tokens. The answer: the claims of the ID token that
//! came with them. It came straight from the token endpoint, or from an application that may write the connection: no
//! signature is looked at, and nothing that is served or refused rests on the account.
//!
//! Never keeps a claim: what is decoded is wiped.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokenkeep_client::secret::IdToken;
use zeroize::Zeroizing;

use super::provider::OAuthClient;

/// Whether the ID token belongs to this request (OpenID Connect Core 1.0, section 3.1.3.7). It came straight from the
/// token endpoint, so the connection vouches for who made it (number 6): no signature is looked at.
#[must_use]
pub fn is_own(token: &IdToken, nonce: &str, client: &OAuthClient) -> bool {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Audience {
        Many(Vec<String>),
        One(String),
    }
    #[derive(Deserialize)]
    struct Claims {
        aud: Audience,
        iss: Option<String>,
        nonce: Option<String>,
    }
    let Some(claims) = claims::<Claims>(token) else { return false };
    let is_for_us = match &claims.aud {
        Audience::Many(all) => all.contains(&client.id),
        Audience::One(one) => *one == client.id,
    };
    let is_from_whom = client.issuer.is_none() || claims.iss == client.issuer;
    is_for_us && is_from_whom && claims.nonce.as_deref() == Some(nonce)
}

/// The account: who it is, and who says so. Together they are one of its kind (section 2, `sub`).
#[must_use]
pub fn account(token: &IdToken) -> Option<String> {
    #[derive(Deserialize)]
    struct Claims {
        iss: String,
        sub: String,
    }
    claims::<Claims>(token).map(|claims| format!("{}\0{}", claims.iss, claims.sub))
}

fn claims<Claims: DeserializeOwned>(token: &IdToken) -> Option<Claims> {
    let payload = IdToken::expose(token).split('.').nth(1)?;
    let payload = URL_SAFE_NO_PAD.decode(payload).map(Zeroizing::new).ok()?;
    serde_json::from_slice(&payload).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> IdToken {
        IdToken::new(format!("e30.{}.", URL_SAFE_NO_PAD.encode(claims)))
    }

    #[test]
    fn an_account_is_who_says_so_and_who_it_is() {
        let one = account(&token(r#"{"iss":"https://a.example","sub":"7"}"#));
        assert!(one.is_some());
        assert_eq!(one, account(&token(r#"{"sub":"7","iss":"https://a.example","nonce":"n"}"#)));
        for other in [r#"{"iss":"https://a.example7","sub":""}"#, r#"{"iss":"https://b.example","sub":"7"}"#]
        {
            assert_ne!(one, account(&token(other)), "{other}");
        }
        for none in [r#"{"sub":"7"}"#, r#"{"iss":"https://a.example"}"#, "[]", ""] {
            assert_eq!(account(&token(none)), None, "{none}");
        }
        assert_eq!(account(&IdToken::new("opaque".to_owned())), None);
    }
}
