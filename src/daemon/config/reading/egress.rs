//! `[egress]`: the one way out.

use toml::Spanned;

use super::super::{ConfigError, written};
use super::{LONGEST_SOCKET, Reading};
use crate::net::outbound::Door;

impl Reading<'_> {
    pub(super) fn door(&self, written: &written::Written) -> Result<Door, ConfigError> {
        let Some(egress) = &written.egress else { return Ok(Door::Direct) };
        let socket = &egress.get_ref().socket;
        if socket.get_ref().len() > LONGEST_SOCKET {
            let what = "longer than the 107 bytes that a socket path may have";
            return Err(self.refuse(socket, what, "choose a shorter path"));
        }
        let path = self.absolute(socket)?;
        self.region_is_named(written, egress)?;
        Ok(Door::Egress(path))
    }

    /// tokenkeep-egress does not see the daemon's environment, so what a region decides must stand in the file.
    fn region_is_named(
        &self,
        written: &written::Written,
        egress: &Spanned<written::Egress>,
    ) -> Result<(), ConfigError> {
        let root_key = &written.root_key;
        let is_aws = root_key.source.get_ref() == "aws-secrets-manager";
        let is_named =
            root_key.region.is_some() || (root_key.endpoint.is_some() && root_key.sts_endpoint.is_some());
        if !is_aws || is_named {
            return Ok(());
        }
        let what = "the root key comes from a region that only the environment names, which tokenkeep-egress does not see";
        Err(self.refuse(egress, what, "add region = \"…\" to [root_key]"))
    }
}
