//! What is asked: in words for the policy and for the audit log.

use tokenkeep_client::ids::{ConnectionId, OrgId, ProviderId};

use super::request_id::RequestId;
use crate::audit::entry::Target;
use crate::domain::action::Action;

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Of the request; in every entry.
    pub request: &'a RequestId,
    /// What is to be done.
    pub action: Action,
    /// To whose belongings.
    pub org: Option<&'a OrgId>,
    /// Of which issuer, where policy looks at it.
    pub provider: Option<&'a ProviderId>,
    /// Which thing, in words for the audit log.
    pub target: Option<Target<'a>>,
}

impl<'a> Ask<'a> {
    /// An action on the vault as a whole.
    #[must_use]
    pub fn new(request: &'a RequestId, action: Action) -> Self {
        Self { request, action, org: None, provider: None, target: None }
    }

    /// On this org.
    #[must_use]
    pub fn of(self, org: &'a OrgId) -> Self {
        Self { org: Some(org), ..self }
    }

    /// On this connection.
    #[must_use]
    pub fn on_connection(self, id: &'a ConnectionId) -> Self {
        Self { provider: Some(&id.provider), target: Some(Target::Connection(id)), ..self }
    }

    /// On this thing.
    #[must_use]
    pub fn on(self, target: &'a str) -> Self {
        Self { target: Some(Target::Named(target)), ..self }
    }
}
