//! How the outside is reached: certificate authorities, proxies, limits.

use std::path::PathBuf;

/// Why the outside cannot be reached as `[network]` says.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The file named by `[network] ca_file` cannot be read.
    #[error("[network] ca_file {}: {source}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}
