//! Query parameters: each known, each once. A misspelt `min_ttl` must not be a silent default.

use std::borrow::Cow;

use tokenkeep_client::limits;

use super::operation::Parameter;
use super::route::percent_decode;
use crate::vault::page::{Cursor, PageRequest};
use crate::vault::refusal::Refusal;

/// The parameters of one request.
#[derive(Debug)]
pub struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    /// Parses a query, in which only these parameters may stand.
    ///
    /// # Errors
    /// `invalid_request`.
    pub fn parse(query: Option<&'a str>, known: &[Parameter]) -> Result<Self, Refusal> {
        let mut pairs: Vec<(Cow<'a, str>, Cow<'a, str>)> = Vec::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = percent_decode(name).zip(percent_decode(value));
            let (name, value) =
                decoded.ok_or_else(|| Refusal::invalid("the query is not percent-encoded UTF-8"))?;
            if !known.iter().any(|known| known.name == name) {
                return Err(unknown(known));
            }
            if pairs.iter().any(|(other, _)| *other == name) {
                return Err(Refusal::invalid("a query parameter stands there twice"));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// The text of a parameter.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| &**value)
    }

    /// A parameter, parsed; `rule` says what it must be.
    ///
    /// # Errors
    /// `invalid_request`.
    pub fn parsed<T>(
        &self,
        name: &str,
        rule: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Refusal> {
        self.text(name).map(|text| parse(text).ok_or_else(|| Refusal::invalid(rule))).transpose()
    }

    /// `after` and `limit`.
    ///
    /// # Errors
    /// `invalid_request`.
    pub fn page(&self) -> Result<PageRequest, Refusal> {
        let after = self.parsed("after", "after is the next of an earlier page", Cursor::parse)?;
        Ok(PageRequest { after, most: self.limit()? })
    }

    /// `limit`.
    ///
    /// # Errors
    /// `invalid_request`.
    pub fn limit(&self) -> Result<usize, Refusal> {
        let limit = self.parsed("limit", "limit is 1 to 1000", |text| {
            text.parse().ok().filter(|limit| (1..=limits::PAGE).contains(limit))
        })?;
        Ok(limit.unwrap_or(limits::PAGE_UNSAID))
    }
}

fn unknown(known: &[Parameter]) -> Refusal {
    if known.is_empty() {
        return Refusal::invalid("this request has no query parameters");
    }
    let names: Vec<&str> = known.iter().map(|known| known.name).collect();
    Refusal::invalid(format!("this request has the query parameters: {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::paths::{AFTER, LIMIT, MIN_TTL};

    #[test]
    fn only_known_parameters_are_taken_and_each_once() {
        let query = Query::parse(Some("min_ttl=60&limit=5"), &[MIN_TTL, LIMIT]).expect("known");
        assert_eq!(query.text("min_ttl"), Some("60"));
        assert_eq!(query.limit(), Ok(5));
        for bad in ["min_tl=60", "limit=1&limit=2", "limit=%zz"] {
            assert!(Query::parse(Some(bad), &[MIN_TTL, LIMIT]).is_err(), "{bad}");
        }
        let query = Query::parse(Some("limit=0&after=x"), &[AFTER, LIMIT]).expect("known");
        assert!(query.limit().is_err() && query.page().is_err());
    }
}
