//! The application API: from a request to its route, and back to an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::header::HeaderMap;
use hyper::{Request, StatusCode, Version};
use tokenkeep_client::problem::Code;

use super::admin::{self, AdminServices};
use super::answer::{self, Answer};
use super::authorization::Brought;
use super::exchange::Exchange;
use super::operation::{self, Shape};
use super::route::Route;
use crate::service::authorization::Authorizations;
use crate::vault::Vault;
use crate::vault::caller::Caller;
use crate::vault::refusal::Refusal;
use crate::vault::request_id::{RequestId, RequestIds};

/// What serves requests.
pub struct Application {
    /// Behind the door.
    pub vault: Arc<Vault>,
    /// Exchanges codes.
    pub authorizations: Authorizations,
    /// Only the admin socket reaches them.
    pub admin: AdminServices,
    /// One for all listeners.
    pub request_ids: RequestIds,
    /// For the body of one request.
    pub body_deadline: Duration,
}

impl Application {
    /// Answers a request of this caller. Gives the map of its header fields back, to be used again.
    pub async fn answer(
        &self,
        caller: &Arc<Caller>,
        request: RequestId,
        incoming: Request<Incoming>,
    ) -> (Answer, HeaderMap) {
        // A connection may be older than the rules that stand now.
        let renewed = self.vault.identified_anew(caller).map(Arc::new);
        let caller = renewed.as_ref().unwrap_or(caller);
        let (mut parts, body) = incoming.into_parts();
        let bound = Brought::take(&mut parts.headers)
            .map(|brought| self.vault.caller_showing(caller, brought.shown()));
        let caller = bound.as_ref().unwrap_or(caller);
        let unread = AtomicBool::new(!body.is_end_stream());
        let mut exchange =
            Exchange { application: self, caller, request, parts, operation: operation::UNPARSED, unread };
        let answer = exchange.answer(body).await;
        let answer = if exchange.leaves_bytes() { answer::closing(answer) } else { answer };
        (answer, exchange.parts.headers)
    }
}

impl Exchange<'_> {
    async fn answer(&mut self, body: Incoming) -> Answer {
        let route = match self.admitted_route() {
            Ok(route) => route,
            Err(refused) => return self.refuse_unparsed(&refused),
        };
        let path = route.path();
        let Some(operation) = path.operation(&self.parts.method) else {
            let refusal =
                Refusal::new(Code::MethodNotAllowed, "this path does not take this method; see Allow");
            return answer::allowing(self.refuse_unparsed(&refusal), &path.allow());
        };
        self.operation = operation;
        let served = self.serve(route, body).await;
        debug_assert!(
            operation.may_give(path, &served),
            "{} answers what its row in transport/paths.rs does not say: {:?}",
            operation.id,
            served.map(|answer| answer.status())
        );
        match served {
            Ok(answer) => answer,
            Err(refusal) => answer::problem(&refusal, self.request),
        }
    }

    /// Whether bytes of this request are still to come that nobody will read. The next request cannot begin behind
    /// them, so a client must be told to open another connection (RFC 9112, section 9.6).
    fn leaves_bytes(&self) -> bool {
        self.unread.load(Ordering::Relaxed) && self.parts.version < Version::HTTP_2
    }

    async fn serve(&self, route: Route, body: Incoming) -> Result<Answer, Refusal> {
        match route {
            Route::Token(org, id) => self.token(&org, &id, &body).await,
            // hyper moves the future of each request about, and it is as large as that of its largest route: only
            // the hot one is part of it.
            route => Box::pin(self.serve_seldom(route, body)).await,
        }
    }

    async fn serve_seldom(&self, route: Route, body: Incoming) -> Result<Answer, Refusal> {
        match route {
            Route::Health => Ok(answer::empty(StatusCode::OK)),
            Route::Ready => match self.vault().unready() {
                None => Ok(answer::empty(StatusCode::OK)),
                Some(why) => Err(Refusal::new(Code::NotReady, why)),
            },
            Route::Status => {
                self.accepts_json()?;
                self.takes_nothing(&body)?;
                Ok(answer::json(StatusCode::OK, &self.vault().status(self.caller, self.request).await?))
            }
            Route::AuthorizationComplete(org, state) => self.complete_authorization(org, state, body).await,
            Route::Authorizations(org) => self.begin_authorization(org, body).await,
            Route::Consent(org, id) => self.consent(org, id, body).await,
            Route::Consents(org) => self.consents(&org, &body).await,
            Route::Org(org) => self.org(org, &body).await,
            Route::Connections(org) => self.connections(&org, &body).await,
            Route::Connection(org, id) => self.connection(org, id, body).await,
            Route::Token(org, id) => self.token(&org, &id, &body).await,
            Route::Refresh(org, id) => self.refresh(&org, &id, body).await,
            Route::RefreshToken(org, id) => self.refresh_token(&org, &id, &body).await,
            Route::Tokens(org) => self.tokens(&org, body).await,
            Route::Encrypt(org) => self.encrypt(&org, body).await,
            Route::Decrypt(org) => self.decrypt(&org, body).await,
            Route::Passes(org) => self.passes(&org, body).await,
            Route::Secrets(org) => self.secrets(&org, &body).await,
            Route::Secret(org, name) => self.secret(org, name, body).await,
            Route::Import => self.import(body).await,
            Route::Release => self.release(body).await,
            Route::KeysOfOrgsRotate => self.rotate_org_keys(body).await,
            Route::KeysRetire => self.retire_key(body).await,
            Route::Alerts
            | Route::AlertsTest
            | Route::AuditEntries
            | Route::AuditVerify
            | Route::Backups
            | Route::BackupsDrill
            | Route::BackupsVerify
            | Route::Doctor
            | Route::Keys
            | Route::KeysOfOrgs
            | Route::KeysReload
            | Route::KeysRotate
            | Route::Metrics
            | Route::Expiring
            | Route::Orgs
            | Route::Provider(_)
            | Route::ProviderCheck(_)
            | Route::Providers
            | Route::Revocations => {
                if self.operation.gives != Shape::Metrics {
                    self.accepts_json()?;
                }
                self.takes_no_body(&body)?;
                admin::serve(self, &route).await
            }
        }
    }
}
