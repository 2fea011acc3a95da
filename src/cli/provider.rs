//! `provider`: the configured OAuth issuers.
//!
//! Never changes one: that is done in the configuration file.

use clap::Subcommand;
use tokenkeep_client::Request;
use tokenkeep_client::ids::ProviderId;
use tokenkeep_client::wire::{Page, ProviderCheckOut, ProviderOut, ProviderSetting};
use zeroize::Zeroizing;

use super::Session;
use super::failure::Failure;
use super::output::Exit;
use super::status::finding;

/// What to do with providers.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Asks a provider whether it knows our client; exits with 1 where something does not work
    Check {
        /// Its id
        provider: ProviderId,
    },
    /// Lists the configured providers
    List,
    /// Shows a provider: each setting, and whether the preset or the configuration says it
    Show {
        /// Its id
        provider: ProviderId,
    },
}

impl Session {
    pub(super) async fn provider(&mut self, command: Command) -> Result<Exit, Failure> {
        match command {
            Command::Check { provider } => self.check_provider(&provider).await,
            Command::List => self.list_providers().await,
            Command::Show { provider } => self.show_provider(&provider).await,
        }
    }

    async fn check_provider(&mut self, provider: &ProviderId) -> Result<Exit, Failure> {
        let request = Request::post(format!("/admin/v1/providers/{provider}/check"), Zeroizing::default());
        let checked: ProviderCheckOut = self.client.send(&request).await?.read()?;
        self.screen.show(&checked, |checked| match checked.findings.as_slice() {
            [] => vec!["it has no client_id, so it holds tokens and is never asked".to_owned()],
            findings => findings.iter().flat_map(finding).collect(),
        });
        let failed = checked.findings.iter().any(|finding| finding.level == "fail");
        Ok(if failed { Exit::Refused } else { Exit::Done })
    }

    async fn list_providers(&mut self) -> Result<Exit, Failure> {
        let providers: Page<ProviderOut> =
            self.client.send(&Request::get("/admin/v1/providers")).await?.read()?;
        self.screen.show_table(
            &providers,
            ["PROVIDER", "PRESET", "CLIENT AUTH", "TOKEN ENDPOINT"],
            |providers| {
                let row = |provider: &ProviderOut| {
                    let setting = |name| value(provider, name).unwrap_or("-").to_owned();
                    let preset = provider.preset.as_deref().unwrap_or("-").to_owned();
                    [provider.provider.to_string(), preset, setting("client_auth"), setting("token_endpoint")]
                };
                providers.items.iter().map(row).collect()
            },
        );
        Ok(Exit::Done)
    }

    async fn show_provider(&mut self, provider: &ProviderId) -> Result<Exit, Failure> {
        let request = Request::get(format!("/admin/v1/providers/{provider}"));
        let provider: ProviderOut = self.client.send(&request).await?.read()?;
        self.screen.show(&provider, lines);
        Ok(Exit::Done)
    }
}

fn lines(provider: &ProviderOut) -> Vec<String> {
    let scopes = match provider.allowed_scopes.as_slice() {
        [] => "any".to_owned(),
        scopes => scopes.join(" "),
    };
    let mut lines = vec![
        line("provider", provider.provider.as_str()),
        line("preset", provider.preset.as_deref().unwrap_or("none")),
        line("allowed_scopes", &scopes),
        line("requires_consent", if provider.requires_consent { "true" } else { "false" }),
    ];
    if !provider.refreshes {
        lines.push(line("client_id", "none: it holds tokens and refreshes none"));
    }
    lines.extend(provider.settings.iter().map(|setting| line(&setting.name, &said(setting))));
    lines
}

fn line(name: &str, value: &str) -> String {
    format!("{name:<22}  {value}")
}

fn said(setting: &ProviderSetting) -> String {
    let value = setting.value.as_deref().unwrap_or("none");
    match &setting.source {
        Some(source) => format!("{value}  ({}: {source})", setting.from),
        None => format!("{value}  ({})", setting.from),
    }
}

fn value<'a>(provider: &'a ProviderOut, name: &str) -> Option<&'a str> {
    provider.settings.iter().find(|setting| setting.name == name)?.value.as_deref()
}
