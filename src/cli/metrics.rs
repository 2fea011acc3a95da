//! `metrics`: the page of metrics, for a collector that reads files or runs programs.
//!
//! Passes the page on as it is.

use tokenkeep_client::Request;

use super::Session;
use super::failure::Failure;
use super::output::Exit;

impl Session {
    pub(super) async fn metrics(&mut self) -> Result<Exit, Failure> {
        let response = self.client.send(&Request::get("/metrics")).await?;
        let page = response.text()?;
        self.screen.show(&page, |page| page.lines().map(str::to_owned).collect());
        Ok(Exit::Done)
    }
}
