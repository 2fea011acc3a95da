//! Lists: page by page until the end, or until there are as many as asked for.
//!
//! Never goes round in circles: a cursor that does not move ends the list.

use clap::Args;
use serde::de::DeserializeOwned;
use tokenkeep_client::wire::Page;
use tokenkeep_client::{Client, Error, Request, Transport};

use super::failure::Failure;

/// Which part of a list.
#[derive(Args)]
pub(super) struct Part {
    /// Goes on after this cursor, the `next` of an earlier list
    #[arg(long, value_name = "CURSOR")]
    pub(super) after: Option<String>,
    /// Stops after N items
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) limit: Option<u32>,
}

impl Part {
    /// All of a list.
    pub(super) const ALL: Self = Self { after: None, limit: None };

    /// Reads the part of the list that `request` asks for.
    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        client: &Client,
        request: &Request,
    ) -> Result<Page<T>, Failure> {
        let mut items = Vec::new();
        let mut after = self.after.clone();
        loop {
            let wanted = self.limit.map(|limit| (limit as usize).saturating_sub(items.len()));
            let request =
                request.clone().with_query_if("after", after.as_ref()).with_query_if("limit", wanted);
            let page: Page<T> = client.send(&request).await?.read()?;
            items.extend(page.items);
            if page.next.is_some() && page.next == after {
                return Err(Error::from(Transport::Protocol("a list that does not move on")).into());
            }
            after = page.next;
            if after.is_none() || self.limit.is_some_and(|limit| items.len() >= limit as usize) {
                return Ok(Page { items, next: after });
            }
        }
    }
}
