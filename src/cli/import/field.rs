//! The fields of a row, and under which names the input has them.
//!
//! The hard problem: a column that was misspelt must not be a refresh token that was lost. The answer: a column
//! that nobody asked for is refused, unless all such are to be ignored.
//!
//! Never guesses what a column means.

use clap::Args;
use tokenkeep_client::ids::{ConnectionName, OrgId, ProviderId};

macro_rules! fields {
    ($($(#[$doc:meta])* $variant:ident = $word:literal,)*) => {
        /// A field of a row.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Field { $($(#[$doc])* $variant,)* }

        impl Field {
            /// Every field there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The contract's word for it.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }
    };
}

fields! {
    /// The access token, sealed.
    AccessToken = "access_token",
    /// When the access token ends.
    ExpiresAt = "expires_at",
    /// How long the access token lives, in seconds.
    ExpiresIn = "expires_in",
    /// The ID token, sealed.
    IdToken = "id_token",
    /// When the provider issued the access token.
    IssuedAt = "issued_at",
    /// A JSON object of texts.
    Labels = "labels",
    /// The name of the connection.
    Name = "name",
    /// The tenant.
    Org = "org",
    /// The configured issuer.
    Provider = "provider",
    /// The refresh token, sealed.
    RefreshToken = "refresh_token",
    /// What the token may do.
    Scopes = "scopes",
    /// A JSON object with all of a token set, sealed as one.
    TokenSet = "token_set",
    /// How the token is shown to the provider.
    TokenType = "token_type",
}

/// Which names the fields have in the input. Each is also the field's default name, but for the token set.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Fields of a row; each has its own name unless another is given")]
pub struct Names {
    /// Field with the org
    #[arg(long, value_name = "NAME", conflicts_with = "org")]
    org_field: Option<String>,
    /// The org of all rows, in place of a field
    #[arg(long, value_name = "ORG")]
    org: Option<OrgId>,
    /// Field with the id of the provider
    #[arg(long, value_name = "NAME", conflicts_with = "provider")]
    provider_field: Option<String>,
    /// The provider of all rows, in place of a field
    #[arg(long, value_name = "ID")]
    provider: Option<ProviderId>,
    /// Field with the name of the connection
    #[arg(long, value_name = "NAME", conflicts_with = "name")]
    name_field: Option<String>,
    /// The name of the connection in all rows, in place of a field
    #[arg(long, value_name = "NAME")]
    name: Option<ConnectionName>,
    /// Field with the sealed access token
    #[arg(long, value_name = "NAME")]
    access_token_field: Option<String>,
    /// Field with the sealed refresh token
    #[arg(long, value_name = "NAME")]
    refresh_token_field: Option<String>,
    /// Field with the sealed ID token
    #[arg(long, value_name = "NAME")]
    id_token_field: Option<String>,
    /// Field with a whole token set, sealed as one JSON object; in place of the three before
    #[arg(long, value_name = "NAME")]
    #[arg(conflicts_with_all = ["access_token_field", "refresh_token_field", "id_token_field"])]
    token_set_field: Option<String>,
    /// Field with the token type; Bearer where it is empty
    #[arg(long, value_name = "NAME")]
    token_type_field: Option<String>,
    /// Field with the end of the access token: RFC 3339, as PostgreSQL writes it, or Unix seconds
    #[arg(long, value_name = "NAME")]
    expires_at_field: Option<String>,
    /// Field with its span in seconds, from issued_at, or from when the access token was sealed
    #[arg(long, value_name = "NAME")]
    expires_in_field: Option<String>,
    /// Field with the moment at which the provider issued the access token
    #[arg(long, value_name = "NAME")]
    issued_at_field: Option<String>,
    /// Field with the scopes: a text, or a JSON list
    #[arg(long, value_name = "NAME")]
    scopes_field: Option<String>,
    /// Field with labels: a JSON object of texts
    #[arg(long, value_name = "NAME")]
    labels_field: Option<String>,
    /// What stands between scopes [default: space]
    #[arg(long, value_name = "TEXT")]
    scope_separator: Option<String>,
    /// Takes moments without a time zone as UTC; refuses them otherwise
    #[arg(long)]
    assume_utc: bool,
    /// Leaves other fields behind; refuses them otherwise
    #[arg(long)]
    ignore_other_fields: bool,
}

impl Names {
    /// The name of a field in the input; none where it is not looked for.
    #[must_use]
    pub fn of(&self, field: Field) -> Option<&str> {
        let given = self.given(field);
        let looked_for = match field {
            Field::AccessToken | Field::IdToken | Field::RefreshToken => self.token_set_field.is_none(),
            Field::Name => self.name.is_none(),
            Field::Org => self.org.is_none(),
            Field::Provider => self.provider.is_none(),
            Field::TokenSet => return given,
            _ => true,
        };
        looked_for.then(|| given.unwrap_or(field.word()))
    }

    /// The name that was given for a field.
    #[must_use]
    pub fn given(&self, field: Field) -> Option<&str> {
        match field {
            Field::AccessToken => self.access_token_field.as_deref(),
            Field::ExpiresAt => self.expires_at_field.as_deref(),
            Field::ExpiresIn => self.expires_in_field.as_deref(),
            Field::IdToken => self.id_token_field.as_deref(),
            Field::IssuedAt => self.issued_at_field.as_deref(),
            Field::Labels => self.labels_field.as_deref(),
            Field::Name => self.name_field.as_deref(),
            Field::Org => self.org_field.as_deref(),
            Field::Provider => self.provider_field.as_deref(),
            Field::RefreshToken => self.refresh_token_field.as_deref(),
            Field::Scopes => self.scopes_field.as_deref(),
            Field::TokenSet => self.token_set_field.as_deref(),
            Field::TokenType => self.token_type_field.as_deref(),
        }
    }

    /// The fields that have this name; one column may serve two.
    pub fn fields(&self, name: &str) -> impl Iterator<Item = Field> {
        Field::ALL.iter().copied().filter(move |field| self.of(*field) == Some(name))
    }

    /// Whether no row can do without it.
    #[must_use]
    pub fn needs(&self, field: Field) -> bool {
        let needed = matches!(
            field,
            Field::AccessToken | Field::Name | Field::Org | Field::Provider | Field::TokenSet
        );
        needed && self.of(field).is_some()
    }

    /// The org of all rows, where it is given.
    #[must_use]
    pub fn constant_org(&self) -> Option<&OrgId> {
        self.org.as_ref()
    }

    /// The provider of all rows, where it is given.
    #[must_use]
    pub fn constant_provider(&self) -> Option<&ProviderId> {
        self.provider.as_ref()
    }

    /// The name of the connection in all rows, where it is given.
    #[must_use]
    pub fn constant_name(&self) -> Option<&ConnectionName> {
        self.name.as_ref()
    }

    /// What stands between scopes; white space where nothing is given.
    #[must_use]
    pub fn scope_separator(&self) -> Option<&str> {
        self.scope_separator.as_deref()
    }

    /// Whether a moment without a time zone is one in UTC.
    #[must_use]
    pub fn assumes_utc(&self) -> bool {
        self.assume_utc
    }

    /// Whether fields that nobody asked for are left behind.
    #[must_use]
    pub fn ignores_others(&self) -> bool {
        self.ignore_other_fields
    }
}
