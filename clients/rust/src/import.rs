//! The shapes of an import: many token sets of many orgs at once, each judged and stored by itself.
//!
//! A request may be sent again: what the first one stored is found unchanged by the second.
//!
//! Secrets are written nowhere but in [`TokenSet::body`](crate::wire::TokenSet::body).

use crate::ids::{ConnectionName, OrgId, ProviderId};
use crate::problem::Problem;
use crate::wire::{TokenSet, to_body};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Most items of a request.
pub const ITEMS: usize = 1000;

/// POST `/admin/v1/import`.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ImportIn {
    /// What becomes of the items.
    pub terms: Terms,
    /// At most 1,000.
    #[cfg_attr(feature = "schema", schemars(length(max = ITEMS)))]
    #[serde(deserialize_with = "crate::wire::items::up_to::<ITEMS, _, _>")]
    pub items: Vec<ImportItem>,
}

/// What becomes of the items of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Whether anything is written.
    pub mode: Mode,
    /// What becomes of a connection that is there already with another token set.
    pub different: Different,
    /// What becomes of an item whose org does not exist.
    pub missing_org: MissingOrg,
}

/// Whether anything is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Only says what a write would do.
    DryRun,
    /// Writes.
    Write,
}

/// What becomes of a connection that is there already with another token set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Different {
    /// It stays, and the item is refused.
    Refuse,
    /// It is replaced.
    Replace,
}

/// What becomes of an item whose org does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum MissingOrg {
    /// The org is created.
    Create,
    /// The item is refused.
    Refuse,
}

/// A token set and where it belongs.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ImportItem {
    /// The tenant.
    pub org: OrgId,
    /// The configured issuer.
    pub provider: ProviderId,
    /// The name of the connection.
    pub name: ConnectionName,
    /// As in a PUT of a connection.
    pub tokens: TokenSet,
}

impl ImportItem {
    /// Its JSON, in a buffer that is wiped when it goes.
    #[must_use]
    pub fn body(&self) -> Zeroizing<Vec<u8>> {
        #[derive(Serialize)]
        struct Place<'a> {
            org: &'a OrgId,
            provider: &'a ProviderId,
            name: &'a ConnectionName,
        }
        let place = to_body(&Place { org: &self.org, provider: &self.provider, name: &self.name });
        let tokens = self.tokens.body();
        let mut body = Zeroizing::new(Vec::with_capacity(place.len() + tokens.len() + 10));
        body.extend_from_slice(&place[..place.len().saturating_sub(1)]);
        body.extend_from_slice(b",\"tokens\":");
        body.extend_from_slice(&tokens);
        body.push(b'}');
        body
    }
}

/// What became of an item, or would.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Imported {
    /// There was no such connection.
    Created,
    /// The stored token set came after this one: its refresh token is the one before the stored one.
    Newer,
    /// Another token set was there.
    Replaced,
    /// The same token set is there.
    Unchanged,
}

/// The answer to one item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(transform = crate::schema::outcome_or_problem))]
pub struct ImportResult {
    /// What became of it, or the problem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Imported>,
    /// The generation that is stored now; none in a dry run that would write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// The answer of an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ImportOut {
    /// Orgs that were created, or would be.
    pub created_orgs: Vec<OrgId>,
    /// One an item, in order.
    pub results: Vec<ImportResult>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::{AccessToken, RefreshToken};

    #[test]
    fn an_item_reads_back_from_its_body() {
        let mut tokens = TokenSet::new(AccessToken::new("at".into()));
        tokens.refresh_token = Some(RefreshToken::new("rt".into()));
        let item = ImportItem {
            org: "acme".parse().expect("an org"),
            provider: "github".parse().expect("a provider"),
            name: "main".parse().expect("a name"),
            tokens,
        };
        let body = item.body();
        assert_eq!(body.len(), body.capacity());
        let again: ImportItem = serde_json::from_slice(&body).expect("reads");
        assert_eq!((&again.org, &again.name), (&item.org, &item.name));
        assert_eq!(again.tokens.access_token, item.tokens.access_token);
        assert_eq!(again.tokens.refresh_token, item.tokens.refresh_token);
    }
}
