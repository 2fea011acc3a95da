//! Other secrets of an org.

use hyper::body::Incoming;
use hyper::{Method, StatusCode};
use tokenkeep_client::ids::{OrgId, SecretName};
use tokenkeep_client::secret::WipedBytes;
use tokenkeep_client::wire::SecretIn;

use super::answer::{self, Answer};
use super::exchange::Exchange;
use super::form::{Form, write_json_text};
use crate::domain::action::Action;
use crate::vault::refusal::Refusal;

impl Exchange<'_> {
    pub(super) async fn secrets(&self, org: &OrgId, body: &Incoming) -> Result<Answer, Refusal> {
        self.accepts_json()?;
        self.takes_no_body(body)?;
        let page = self.unparsed(self.query()?.page())?;
        let page = self.vault().list_secrets(self.caller, self.request, org, &page).await?;
        Ok(answer::json(StatusCode::OK, &page))
    }

    pub(super) async fn secret(
        &self,
        org: OrgId,
        name: SecretName,
        body: Incoming,
    ) -> Result<Answer, Refusal> {
        match self.parts.method {
            Method::GET => self.read_secret(&org, &name, &body).await,
            Method::DELETE => {
                self.accepts_json()?;
                self.takes_nothing(&body)?;
                let out = self.vault().delete_secret(self.caller, self.request, org, name).await?;
                Ok(answer::json(StatusCode::OK, &out))
            }
            _ => {
                self.accepts_json()?;
                self.query()?;
                let ask = self.ask(Action::SecretWrite).of(&org).on(name.as_str());
                let secret: SecretIn = self.body(ask, body).await?;
                let (org, name) = (org.clone(), name.clone());
                let out = self.vault().put_secret(self.caller, self.request, org, name, secret).await?;
                let status = if out.version == 1 { StatusCode::CREATED } else { StatusCode::OK };
                Ok(answer::tagged(answer::json(status, &out), out.version))
            }
        }
    }

    async fn read_secret(&self, org: &OrgId, name: &SecretName, body: &Incoming) -> Result<Answer, Refusal> {
        let form = self.form()?;
        self.takes_no_body(body)?;
        let query = self.query()?;
        let version = query.parsed("version", "version is a number from 1", |text| text.parse().ok());
        let version = self.unparsed(version)?;
        let secret = self.vault().read_secret(self.caller, self.request, org, name, version).await?;
        let mut out = WipedBytes::with_capacity(2 * secret.expose().len() + 128);
        match form {
            Form::Text => out.extend_from_slice(secret.expose()),
            Form::Json => {
                out.extend_from_slice(b"{\"value\":");
                write_json_text(&mut out, secret.expose());
                let rest =
                    format!(",\"version\":{},\"created_at\":\"{}\"}}", secret.version(), secret.created_at);
                out.extend_from_slice(rest.as_bytes());
            }
        }
        Ok(answer::tagged(form.answer(out), secret.version()))
    }
}
