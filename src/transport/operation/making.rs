//! How an operation is written down: as the usual one of its method, and what it has beside.
//!
//! Never looked at when a request comes: all of it is done by the compiler.

use hyper::StatusCode;
use tokenkeep_client::problem::Code;

use super::{Carries, Content, Effect, Heeds, Needs, Operation, Org, Parameter, Shape, Success, Verb};
use crate::domain::action::Action;
use crate::transport::body;

const OK: Success = Success { status: StatusCode::OK, about: "Done." };

impl Operation {
    pub(super) const fn new(method: Verb, id: &'static str, about: &'static str, gives: Shape) -> Self {
        Self {
            id,
            method,
            about,
            needs: Needs::AnyClient,
            query: &[],
            heeds: Heeds::Nothing,
            takes: None,
            succeeds: &[OK],
            gives,
            carries: Carries::Nothing,
            refuses: &[],
            effect: match method {
                Verb::Delete | Verb::Put => Effect::Change,
                Verb::Get | Verb::Post => Effect::Read,
            },
            org: Org::Known,
        }
    }

    /// A DELETE that gives this.
    pub(in crate::transport) const fn delete(id: &'static str, about: &'static str, gives: Shape) -> Self {
        Self::new(Verb::Delete, id, about, gives)
    }

    /// A GET that gives this.
    pub(in crate::transport) const fn get(id: &'static str, about: &'static str, gives: Shape) -> Self {
        Self::new(Verb::Get, id, about, gives)
    }

    /// A POST that gives this.
    pub(in crate::transport) const fn post(id: &'static str, about: &'static str, gives: Shape) -> Self {
        Self::new(Verb::Post, id, about, gives)
    }

    /// A PUT that gives this.
    pub(in crate::transport) const fn put(id: &'static str, about: &'static str, gives: Shape) -> Self {
        Self::new(Verb::Put, id, about, gives)
    }

    /// For those who may do this.
    pub(in crate::transport) const fn needs(self, action: Action) -> Self {
        Self { needs: Needs::Action(action), ..self }
    }

    /// For everybody: it asks the vault nothing.
    pub(in crate::transport) const fn open_to_all(self) -> Self {
        Self { needs: Needs::Nothing, ..self }
    }

    pub(in crate::transport) const fn query(self, query: &'static [Parameter]) -> Self {
        Self { query, ..self }
    }

    pub(in crate::transport) const fn conditional(self) -> Self {
        Self { heeds: Heeds::Conditions, ..self }
    }

    pub(in crate::transport) const fn takes(self, shape: Shape) -> Self {
        self.takes_up_to(shape, body::LIMIT)
    }

    pub(in crate::transport) const fn takes_up_to(self, shape: Shape, limit: usize) -> Self {
        Self { takes: Some(Content { shape, limit }), ..self }
    }

    pub(in crate::transport) const fn succeeds(self, succeeds: &'static [Success]) -> Self {
        Self { succeeds, ..self }
    }

    pub(in crate::transport) const fn tagged(self) -> Self {
        Self { carries: Carries::Tag, ..self }
    }

    pub(in crate::transport) const fn or_bare(self) -> Self {
        Self { carries: Carries::BareForm, ..self }
    }

    pub(in crate::transport) const fn of_any_org(self) -> Self {
        Self { org: Org::Any, ..self }
    }

    pub(in crate::transport) const fn refuses(self, refuses: &'static [Code]) -> Self {
        Self { refuses, ..self }
    }

    pub(in crate::transport) const fn changes(self) -> Self {
        Self { effect: Effect::Change, ..self }
    }
}
