//! `alert`: what somebody is still to be told, and whether telling works.
//!
//! Never shows more of the webhook's address than its host: a path may be a secret.

use clap::Subcommand;
use tokenkeep_client::Request;
use tokenkeep_client::wire::{AlertOut, AlertTestOut, AlertsOut};
use zeroize::Zeroizing;

use super::Session;
use super::failure::Failure;
use super::output::{Exit, or_dash};

/// What to do with alerts.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Lists the events that wait to be delivered, oldest first, and what came of them so far
    List,
    /// Sends the webhook an event that tells nothing; exits with 1 where it is not taken
    Test,
}

impl Session {
    pub(super) async fn alert(&mut self, command: Command) -> Result<Exit, Failure> {
        match command {
            Command::List => self.list_alerts().await,
            Command::Test => self.test_alerts().await,
        }
    }

    async fn list_alerts(&mut self) -> Result<Exit, Failure> {
        let alerts: AlertsOut = self.client.send(&Request::get("/admin/v1/alerts")).await?.read()?;
        let head = ["SEQUENCE", "WHEN", "TYPE", "OF", "FAILURES", "NEXT", "LAST FAILURE"];
        self.screen.show_table(&alerts, head, |alerts| alerts.items.iter().map(row).collect());
        if alerts.webhook.is_none() {
            self.screen.note("note: no webhook is configured, so nobody is told of anything");
        }
        if alerts.waiting > alerts.items.len() as u64 {
            self.screen.note(format!("note: {} wait in all", alerts.waiting));
        }
        Ok(Exit::Done)
    }

    async fn test_alerts(&mut self) -> Result<Exit, Failure> {
        let request = Request::post("/admin/v1/alerts/test", Zeroizing::default());
        let tested: AlertTestOut = self.client.send(&request).await?.read()?;
        self.screen.show(&tested, |tested| {
            let became = if tested.delivered { "delivered" } else { "not delivered" };
            vec![format!("{became}: {} ({})", tested.detail, tested.id)]
        });
        Ok(if tested.delivered { Exit::Done } else { Exit::Refused })
    }
}

fn row(alert: &AlertOut) -> [String; 7] {
    let parts =
        [alert.org.as_ref().map(ToString::to_string), alert.provider.as_ref().map(ToString::to_string)];
    let about: Vec<String> = parts.into_iter().flatten().chain(alert.name.clone()).collect();
    [
        alert.sequence.to_string(),
        alert.timestamp.to_string(),
        alert.kind.clone(),
        if about.is_empty() { "-".to_owned() } else { about.join("/") },
        alert.failures.to_string(),
        format!("{}s", alert.next_in),
        or_dash(alert.last_failure.as_ref()),
    ]
}
