//! The admin API: only the admin socket reaches it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hyper::{Method, StatusCode};
use tokenkeep_client::limits;
use tokenkeep_client::moment::Moment;
use tokenkeep_client::problem::Code;
use tokenkeep_client::wire::{DoctorOut, Finding};

use super::answer::{self, Answer};
use super::exchange::Exchange;
use super::query::Query;
use super::route::Route;
use crate::audit::Filter;
use crate::domain::action::Action;
use crate::service::alerts::Alerts;
use crate::service::backup::{Backups, Task};
use crate::service::org_rotation::OrgRotation;
use crate::service::providers::Providers;
use crate::service::records;
use crate::service::rotation::Rotation;
use crate::vault::expiring::{Expiring, Place};
use crate::vault::refusal::Refusal;

/// What the admin API acts through.
pub struct AdminServices {
    /// Root keys: shown, loaded anew, rotated.
    pub rotation: Arc<Rotation>,
    /// Keys of orgs: shown, rotated, retired.
    pub org_rotation: Arc<OrgRotation>,
    /// The configured providers: shown, tried.
    pub providers: Providers,
    /// Who is told of events: shown, tried.
    pub alerts: Arc<Alerts>,
    /// Backups: shown, made, verified, drilled; none where none are configured.
    pub backups: Option<Arc<Backups>>,
    /// Looks at the host.
    pub examine: Box<dyn Fn() -> Vec<Finding> + Send + Sync>,
}

/// Serves a route of the admin API.
pub(super) async fn serve(exchange: &Exchange<'_>, route: &Route) -> Result<Answer, Refusal> {
    let (application, caller, request) = (exchange.application, exchange.caller, exchange.request);
    let (vault, admin) = (&application.vault, &application.admin);
    match route {
        Route::Orgs => {
            let page = exchange.unparsed(exchange.query()?.page())?;
            Ok(answer::json(StatusCode::OK, &vault.list_orgs(caller, request, &page).await?))
        }
        Route::Alerts => {
            exchange.query()?;
            Ok(answer::json(StatusCode::OK, &admin.alerts.list(caller, request).await?))
        }
        Route::AlertsTest => {
            exchange.query()?;
            Ok(answer::json(StatusCode::OK, &admin.alerts.test(caller, request).await?))
        }
        Route::Backups if exchange.parts.method == Method::GET => {
            exchange.query()?;
            let backups = exchange.backups(Action::BackupRead)?;
            Ok(answer::json(StatusCode::OK, &backups.list(caller, request).await?))
        }
        Route::Backups => exchange.begin_backup_task(Task::Create).await,
        Route::BackupsDrill => exchange.begin_backup_task(Task::Drill).await,
        Route::BackupsVerify => exchange.begin_backup_task(Task::Verify).await,
        Route::Provider(id) => {
            exchange.query()?;
            Ok(answer::json(StatusCode::OK, &admin.providers.show(caller, request, id).await?))
        }
        Route::ProviderCheck(id) => {
            exchange.query()?;
            Ok(answer::json(StatusCode::OK, &admin.providers.check(caller, request, id).await?))
        }
        Route::Providers => {
            exchange.query()?;
            Ok(answer::json(StatusCode::OK, &admin.providers.list(caller, request).await?))
        }
        Route::Keys => {
            exchange.query()?;
            let mut keys = admin.rotation.status(caller, request).await?;
            keys.org_rotation = admin.org_rotation.progress();
            Ok(answer::json(StatusCode::OK, &keys))
        }
        Route::KeysOfOrgs => {
            let query = exchange.query()?;
            let rule = "org is the id of an org";
            let org = exchange.unparsed(query.parsed("org", rule, |text| text.parse().ok()))?;
            Ok(answer::json(StatusCode::OK, &admin.org_rotation.status(caller, request, org).await?))
        }
        Route::KeysReload => {
            exchange.query()?;
            Ok(answer::json(StatusCode::OK, &admin.rotation.reload(caller, request).await?))
        }
        Route::KeysRotate => {
            exchange.query()?;
            Ok(answer::json(StatusCode::ACCEPTED, &admin.rotation.begin(caller, request).await?))
        }
        Route::Expiring => {
            let wanted = exchange.unparsed(expiring(&exchange.query()?))?;
            Ok(answer::json(StatusCode::OK, &vault.list_expiring(caller, request, &wanted).await?))
        }
        Route::Doctor => {
            exchange.query()?;
            let findings = records::examine(vault, caller, request, &admin.examine).await?;
            Ok(answer::json(StatusCode::OK, &DoctorOut { findings }))
        }
        Route::AuditVerify => {
            exchange.query()?;
            Ok(answer::json(StatusCode::OK, &records::verify(vault, caller, request).await?))
        }
        Route::Metrics => {
            exchange.query()?;
            Ok(answer::metrics(vault.read_metrics(caller, request).await?))
        }
        Route::Revocations => {
            exchange.query()?;
            Ok(answer::json(StatusCode::OK, &vault.list_revocations(caller, request).await?))
        }
        Route::AuditEntries => audit_entries(exchange).await,
        _ => Err(Refusal::not_found("path")),
    }
}

impl Exchange<'_> {
    fn backups(&self, action: Action) -> Result<&Arc<Backups>, Refusal> {
        let none = || Refusal::new(Code::NotFound, "no backups are configured");
        let found = self.application.admin.backups.as_ref().ok_or_else(none);
        found.map_err(|refusal| self.vault().refuse_unfound(self.caller, self.ask(action), refusal))
    }

    async fn begin_backup_task(&self, task: Task) -> Result<Answer, Refusal> {
        self.query()?;
        let backups = self.backups(Action::BackupMake)?;
        Ok(answer::json(StatusCode::ACCEPTED, &backups.begin(self.caller, self.request, task).await?))
    }
}

async fn audit_entries(exchange: &Exchange<'_>) -> Result<Answer, Refusal> {
    let wanted = exchange.unparsed(wanted(&exchange.query()?))?;
    let page =
        records::entries(&exchange.application.vault, exchange.caller, exchange.request, wanted).await?;
    Ok(answer::json(StatusCode::OK, &page))
}

/// Which connections a query asks for.
fn expiring(query: &Query<'_>) -> Result<Expiring, Refusal> {
    let seconds = |text: &str| text.parse().ok().filter(|seconds| *seconds <= limits::EXPIRES_IN);
    let within = query.parsed("within", "within is a span in seconds, at most ten years", seconds)?;
    Ok(Expiring {
        within: Duration::from_secs(within.unwrap_or(limits::EXPIRING_WITHIN_UNSAID)),
        provider: query.parsed("provider", "provider is the id of a provider", |text| text.parse().ok())?,
        after: query.parsed("after", "after is the next of an earlier page", Place::parse)?,
        most: query.limit()?,
    })
}

/// Which entries a query asks for.
fn wanted(query: &Query<'_>) -> Result<records::Entries, Refusal> {
    let number = |text: &str| text.parse::<u64>().ok();
    let last =
        query.parsed("last", "last is 1 to 1000", |text| number(text).filter(|n| (1..=1000).contains(n)))?;
    let text = |name| query.text(name).map(str::to_owned);
    let rule = "since and until are RFC 3339 in UTC";
    let moment = |name| query.parsed(name, rule, |text| Moment::parse(text).map(SystemTime::from));
    let filter = Filter {
        org: text("org"),
        action: query.parsed("action", "action is one of the words of the audit log", Action::parse)?,
        principal: text("principal"),
        outcome: text("outcome"),
        since: moment("since")?,
        until: moment("until")?,
    };
    let after = query.parsed("after", "after is the next of an earlier page", number)?;
    let most = query.limit()?;
    // Judged last: a parameter that does not count is still one that must be right.
    if let Some(count) = last {
        return Ok(records::Entries::Last(usize::try_from(count).unwrap_or(1000)));
    }
    Ok(records::Entries::Matching { filter, after: after.unwrap_or(0), most })
}
