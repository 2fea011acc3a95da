//! Values that are written as a word, in the configuration and wherever they are shown.
//!
//! Never two words for one value.

/// Declares an enum of which each variant has its word.
macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $variant:ident = $word:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$about])* $variant,)* }

        impl $name {
            /// Every value there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its word.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            /// The value with this word.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == word)
            }
        }
    )*};
}

words! {
    /// How a client proves itself at the token endpoint.
    AuthMethod {
        /// HTTP Basic, id and secret form-encoded first (RFC 6749, section 2.3.1).
        Basic = "basic",
        /// HTTP Basic, id and secret as they are: what many providers expect instead.
        BasicRaw = "basic_raw",
        /// The client's certificate (RFC 8705, section 2).
        Mtls = "mtls",
        /// Not at all: a public client.
        None = "none",
        /// In the body (RFC 6749, section 2.3.1).
        Post = "post",
        /// A signed assertion (RFC 7523, section 2.2).
        PrivateKeyJwt = "private_key_jwt",
    }

    /// How the body of a token request is written.
    BodyForm {
        /// `application/x-www-form-urlencoded`, as RFC 6749 has it.
        Form = "form",
        /// `application/json`.
        Json = "json",
    }

    /// What a provider takes for a revocation.
    RevocationWay {
        /// A POST without a body, with the access token as bearer.
        Bearer = "bearer",
        /// RFC 7009.
        Form = "form",
        /// A DELETE of `{address}/{client_id}/token`: client id and secret in HTTP Basic, the access token in JSON.
        GitHub = "github",
        /// As RFC 7009, with the body in JSON.
        Json = "json",
    }

    /// What becomes of the refresh token at a refresh.
    Rotation {
        /// Each refresh spends it and gives another.
        Rotates = "rotates",
        /// It works on, even where a new one comes; the new one is kept.
        Stays = "stays",
    }

    /// Whether the access token may be refreshed while it still works.
    RefreshEarly {
        /// The old one works on to its end.
        Allowed = "allowed",
        /// The old one ends with the refresh.
        KillsAccessToken = "kills_access_token",
    }
}

/// What stands between scopes in `scope`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScopeSeparator {
    /// `,`
    Comma,
    /// A space (RFC 6749, section 3.3).
    Space,
}

impl ScopeSeparator {
    /// The separator that is written so.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Comma, Self::Space].into_iter().find(|one| one.as_str() == text)
    }

    /// As it stands between scopes.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Comma => ",",
            Self::Space => " ",
        }
    }

    /// The scopes of an answer. No scope has a space in it (RFC 6749, section 3.3), so a space separates everywhere:
    /// some providers take commas and answer with spaces.
    pub fn split(self, text: &str) -> impl Iterator<Item = &str> {
        let separates = move |c: char| c == ' ' || (c == ',' && self == Self::Comma);
        text.split(separates).filter(|scope| !scope.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_has_its_own_word() {
        fn parsed<T: PartialEq + Copy>(
            all: &[T],
            word: fn(T) -> &'static str,
            parse: fn(&str) -> Option<T>,
        ) -> bool {
            all.iter().all(|value| parse(word(*value)) == Some(*value)) && parse("").is_none()
        }
        assert!(parsed(AuthMethod::ALL, AuthMethod::as_str, AuthMethod::parse));
        assert!(parsed(RevocationWay::ALL, RevocationWay::as_str, RevocationWay::parse));
        assert!(parsed(RefreshEarly::ALL, RefreshEarly::as_str, RefreshEarly::parse));
        assert!(parsed(Rotation::ALL, Rotation::as_str, Rotation::parse));
        assert!(parsed(BodyForm::ALL, BodyForm::as_str, BodyForm::parse));
    }

    #[test]
    fn scopes_are_split_by_what_separates_them() {
        let split = |separator: ScopeSeparator, text| separator.split(text).collect::<Vec<_>>().join("|");
        assert_eq!(split(ScopeSeparator::Comma, "repo,gist read"), "repo|gist|read");
        assert_eq!(split(ScopeSeparator::Space, " a,b  c "), "a,b|c");
        assert_eq!(split(ScopeSeparator::Space, ""), "");
    }
}
