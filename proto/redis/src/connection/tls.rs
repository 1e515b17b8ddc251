//! TLS from files.

use fred::types::config::{TlsConfig, TlsConnector};
use metrifold_tls::TlsFiles;

use crate::RedisError;

/// Reads the files; later changes to them need another call.
pub(crate) fn config(files: &TlsFiles) -> Result<TlsConfig, RedisError> {
    let config = files.client_config().map_err(|error| RedisError::Invalid(error.to_string()))?;
    Ok(TlsConnector::from(config).into())
}
