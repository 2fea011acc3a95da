//! Completes authorizations: the code that a browser brought back is exchanged here, and the token set goes straight
//! into the store.
//!
//! The hard problem: a code works once, the caller may leave at any moment, and an answer that is lost cannot be asked
//! for again. The answer: the exchange is a task of its own that begins only when the authorization is spent, keeps
//! what came before it tells anybody, and where nothing came says that nobody knows.
//!
//! Never gives a refresh token to a caller, and never sends a code twice that may have arrived.

use std::sync::Arc;
use std::time::Duration;

use tokenkeep_client::ids::{AuthorizationState, OrgId};
use tokenkeep_client::problem::Code;
use tokenkeep_client::wire::{CompleteRequest, ConnectionOut};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::domain::authorization::{accepted, asks_for_identity};
use crate::domain::identity;
use crate::domain::provider::OAuthClient;
use crate::domain::refresh::answer::{Dialect, Granted, Heard, Meaning, read};
use crate::net::outbound::{Answer, Deadlines, Door, OutboundError};
use crate::service::oauth::token_request::{Code as Shown, code_request};
use crate::vault::Vault;
use crate::vault::authorizations::{Exchanged, Spent};
use crate::vault::caller::Caller;
use crate::vault::connections::scope_not_allowed;
use crate::vault::refusal::Refusal;
use crate::vault::request_id::{RequestId, RequestIds};

/// Longest answer that is read: a token set has three tokens of 16 KiB at the most.
const LONGEST_ANSWER: usize = 64 * 1024;
/// How often a code is tried to be sent that provably did not go out.
const ATTEMPTS: u32 = 3;
/// Between two of them, and between two tries to keep what came.
const PAUSE: Duration = Duration::from_secs(1);
/// How often abandoned authorizations are removed.
const SWEEP: Duration = Duration::from_secs(60);

/// Completes the authorizations of a vault.
#[derive(Clone)]
pub struct Authorizations {
    vault: Arc<Vault>,
    door: Door,
    /// Exchanges that are under way.
    under_way: watch::Sender<usize>,
}

impl Authorizations {
    /// Of this vault, by this way out.
    #[must_use]
    pub fn of(vault: &Arc<Vault>, door: Door) -> Self {
        Self { vault: Arc::clone(vault), door, under_way: watch::Sender::new(0) }
    }

    /// Spends the authorization, exchanges its code, and keeps what comes.
    ///
    /// # Errors
    /// Those of [`Vault::spend_authorization`]; `invalid_request` (the provider refuses the code), `scope_not_allowed`,
    /// `outcome_unknown`, `provider_error`, `provider_timeout`, `client_misconfigured`.
    pub async fn complete(
        &self,
        caller: &Arc<Caller>,
        request: RequestId,
        org: OrgId,
        state: AuthorizationState,
        complete: CompleteRequest,
    ) -> Result<ConnectionOut, Refusal> {
        let (this, caller) = (self.clone(), Arc::clone(caller));
        // Counted before it is spawned: a daemon that is told to stop waits for it.
        let counted = Counted::of(&self.under_way);
        let exchange = tokio::spawn(async move {
            let _counted = counted;
            this.exchange(&caller, request, &org, &state, &complete).await
        });
        exchange.await.unwrap_or_else(|why| {
            tracing::error!(panicked = why.is_panic(), "the exchange of a code did not end");
            Err(Refusal::new(
                Code::Internal,
                "the exchange did not end; look whether the connection is there",
            ))
        })
    }

    /// Waits until no exchange is under way, for so long at the most.
    pub async fn land(&self, most: Duration) {
        let mut under_way = self.under_way.subscribe();
        if timeout(most, under_way.wait_for(|count| *count == 0)).await.is_err() {
            tracing::warn!("the exchange of a code was cut: its person must consent again");
        }
    }

    /// Removes what nobody completed, again and again.
    pub async fn sweep(&self) {
        let requests = RequestIds::new();
        let mut turns = interval(SWEEP);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            match self.vault.sweep_authorizations(requests.next()).await {
                Ok(0) => {}
                Ok(swept) => tracing::info!(swept, "authorizations that nobody completed were removed"),
                Err(refusal) => {
                    tracing::warn!(
                        code = refusal.code.as_str(),
                        "abandoned authorizations could not be removed"
                    );
                }
            }
        }
    }

    async fn exchange(
        &self,
        caller: &Caller,
        request: RequestId,
        org: &OrgId,
        state: &AuthorizationState,
        complete: &CompleteRequest,
    ) -> Result<ConnectionOut, Refusal> {
        let iss = complete.iss.as_deref();
        let spent = self.vault.spend_authorization(caller, request, org, state, iss).await?;
        let Some(client) = spent.provider.client.as_ref() else {
            return Err(Refusal::new(Code::Internal, "the provider has no client"));
        };
        let exchanged = match self.ask(client, &spent, complete).await {
            Ok(granted) => self.judge(granted, client, &spent),
            Err(refusal) => Exchanged::Nothing(refusal),
        };
        self.keep(caller, request, org, &spent, &exchanged).await
    }

    /// The token set, or what the caller is told.
    async fn ask(
        &self,
        client: &OAuthClient,
        spent: &Spent,
        complete: &CompleteRequest,
    ) -> Result<Box<Granted>, Refusal> {
        let mut last = Err(provider_error());
        for attempt in 1..=ATTEMPTS {
            let answered = self.send(client, spent, complete).await?;
            let may_be_sent_again = matches!(&answered, Err(why) if !why.may_have_been_sent());
            last = told(client, answered);
            if !may_be_sent_again || attempt == ATTEMPTS {
                break;
            }
            sleep(PAUSE).await;
        }
        last
    }

    async fn send(
        &self,
        client: &OAuthClient,
        spent: &Spent,
        complete: &CompleteRequest,
    ) -> Result<Result<Answer, OutboundError>, Refusal> {
        let shown =
            Shown { code: &complete.code, redirect_uri: &spent.redirect_uri, verifier: &spent.verifier };
        let request = code_request(client, &shown, self.vault.moment().into()).map_err(|why| {
            tracing::error!(%why, "our client cannot prove itself at a provider, so no code is exchanged there");
            client_refused()
        })?;
        let (door, endpoint, roots) =
            (self.door.clone(), client.token_endpoint.host().clone(), client.roots.clone());
        let asked = tokio::task::spawn_blocking(move || {
            door.exchange(&endpoint, &roots, request, LONGEST_ANSWER, Deadlines::REMOTE)
        });
        // One that did not end was on its way: the code may be spent.
        let answered = asked.await.unwrap_or(Err(OutboundError::NotHttp));
        if let Err(why) = &answered {
            tracing::warn!(%why, "a provider gave no answer to a code");
        }
        Ok(answered)
    }

    fn judge(&self, granted: Box<Granted>, client: &OAuthClient, spent: &Spent) -> Exchanged {
        let accepted = accepted(&granted, &spent.scopes, client, spent.asked_at);
        if !self.vault.allows_scopes(&spent.id, &accepted.scopes) {
            return Exchanged::Unwanted(granted, scope_not_allowed());
        }
        // Where the openid scope was not granted, there is no ID token (OpenID Connect Core 1.0, section 3.1.3.3).
        let nonce = spent.nonce.as_deref().filter(|_| asks_for_identity(&accepted.scopes));
        let is_own = match (nonce, &granted.id_token) {
            (None, _) => true,
            (Some(nonce), Some(token)) => identity::is_own(token, nonce, client),
            (Some(_), None) => false,
        };
        if is_own {
            return Exchanged::Accepted(Box::new(accepted));
        }
        tracing::warn!("a provider gave an ID token that does not belong to the request");
        let refusal = Refusal::new(
            Code::ProviderError,
            "the ID token is missing or does not belong to this authorization; nothing is kept, begin another one",
        );
        Exchanged::Unwanted(granted, Refusal { reason: Some("id_token_mismatch"), ..refusal })
    }

    /// Keeps what came. A token set is tried to be kept for as long as the daemon lives.
    async fn keep(
        &self,
        caller: &Caller,
        request: RequestId,
        org: &OrgId,
        spent: &Spent,
        exchanged: &Exchanged,
    ) -> Result<ConnectionOut, Refusal> {
        let is_precious = !matches!(exchanged, Exchanged::Nothing(_));
        for tried in 0_u32.. {
            let refusal = match self.vault.end_authorization(caller, request, org, &spent.id, exchanged).await
            {
                Ok(outcome) => return outcome,
                Err(refusal) => refusal,
            };
            if tried == 0 {
                let code = refusal.code.as_str();
                tracing::error!(code, "what a code was exchanged for could not be kept; it is tried again");
            }
            let may_pass = matches!(refusal.code, Code::StorageFull | Code::NotReady | Code::Conflict);
            if !may_pass || !is_precious {
                return Err(refusal);
            }
            sleep(PAUSE).await;
        }
        Err(provider_error())
    }
}

/// One exchange that is under way, until this goes.
struct Counted(watch::Sender<usize>);

impl Counted {
    fn of(under_way: &watch::Sender<usize>) -> Self {
        under_way.send_modify(|count| *count += 1);
        Self(under_way.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

fn told(client: &OAuthClient, answered: Result<Answer, OutboundError>) -> Result<Box<Granted>, Refusal> {
    let dialect = Dialect { meaning: &|word| client.meaning(word), separator: client.scope_separator };
    let heard = match &answered {
        Ok(Answer { status, retry_after, body, .. }) => {
            Heard::Answer { status: *status, retry_after: *retry_after, body }
        }
        Err(why) if why.may_have_been_sent() => Heard::Nothing,
        Err(_) => Heard::NotSent,
    };
    let is_late = matches!(answered, Err(OutboundError::Deadline(_)));
    match read(&heard, &dialect) {
        Meaning::Tokens(granted) => Ok(granted),
        Meaning::ClientRefused => Err(client_refused()),
        Meaning::Refused => {
            let refusal = Refusal::invalid(
                "the provider refuses the code: it was used, has ended, or belongs to another request; begin another authorization",
            );
            Err(Refusal { reason: Some("code_refused"), ..refusal })
        }
        Meaning::Broken(_) | Meaning::Lost | Meaning::Unreadable => Err(Refusal {
            reason: Some("answer_lost"),
            ..Refusal::new(
                Code::OutcomeUnknown,
                "the code was sent and no answer came that can be read: the provider may have granted it; \
                 begin another authorization",
            )
        }),
        Meaning::NotProcessed(_) if is_late => Err(Refusal::new(
            Code::ProviderTimeout,
            "the provider could not be reached in time; begin another authorization",
        )),
        Meaning::NotProcessed(_) => Err(provider_error()),
    }
}

fn provider_error() -> Refusal {
    Refusal::new(
        Code::ProviderError,
        "the provider gave no token set for the code; begin another authorization",
    )
}

fn client_refused() -> Refusal {
    Refusal::new(
        Code::ClientMisconfigured,
        "the provider refuses our client id or secret, so no code is exchanged there; mend the [[provider]]",
    )
}
