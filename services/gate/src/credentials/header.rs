//! The header `Authorization`.

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, header::AUTHORIZATION};

/// What a caller shows.
#[derive(PartialEq, Eq)]
pub(crate) enum Shown {
    Password { user: String, password: String },
    Token(String),
}

impl Shown {
    /// Reads the header; `None` if there is none that can be understood, or more than one.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Shown> {
        let mut all = headers.get_all(AUTHORIZATION).into_iter();
        let (header, None) = (all.next()?, all.next()) else { return None };
        let (scheme, rest) = header.to_str().ok()?.split_once(' ')?;
        match scheme.to_ascii_lowercase().as_str() {
            "bearer" => Some(Shown::Token(rest.trim().to_owned())),
            "basic" => {
                let decoded = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
                let (user, password) = decoded.split_once(':')?;
                Some(Shown::Password { user: user.to_owned(), password: password.to_owned() })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(values: &[&str]) -> Option<Shown> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().expect("a value"));
        }
        Shown::of(&headers)
    }

    #[test]
    fn both_schemes_are_read_and_nothing_else_is() {
        let password = || Shown::Password { user: "ann".into(), password: "a:b".into() };
        assert!(shown(&["Basic YW5uOmE6Yg=="]) == Some(password()));
        assert!(shown(&["basic  YW5uOmE6Yg== "]) == Some(password()));
        assert!(shown(&["BEARER abc"]) == Some(Shown::Token("abc".into())));
        for bad in ["", "Basic", "Basic !", "Basic YW5u", "Basic //8=", "Digest abc"] {
            assert!(shown(&[bad]).is_none(), "{bad}");
        }
        assert!(shown(&["Bearer a", "Bearer b"]).is_none());
    }
}
