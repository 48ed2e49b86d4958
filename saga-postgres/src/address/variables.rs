//! The variables that `libpq` reads, and services, which are sets of them in a file.

use std::net::IpAddr;
use std::time::Duration;

use saga_store::StoreError;
use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, LoadBalanceHosts, SslMode, SslNegotiation};

use super::text::{Text, target};
use super::{default_host, invalid};

/// Completes what an address leaves open. It overrides nothing.
pub(super) fn complete(
    config: &mut Config,
    text: &mut Text,
    var: &dyn Fn(&str) -> Option<String>,
) -> Result<(), StoreError> {
    hosts(config, var)?;
    if config.get_user().is_none()
        && let Some(user) = var("PGUSER")
    {
        config.user(user);
    }
    if config.get_dbname().is_none()
        && let Some(database) = var("PGDATABASE")
    {
        config.dbname(database);
    }
    if config.get_application_name().is_none() {
        config.application_name(var("PGAPPNAME").unwrap_or_else(|| "saga".to_owned()));
    }
    if config.get_options().is_none()
        && let Some(options) = var("PGOPTIONS")
    {
        config.options(options);
    }
    if config.get_connect_timeout().is_none()
        && let Some(seconds) = var("PGCONNECT_TIMEOUT")
    {
        let seconds: u64 = seconds.parse().map_err(|_| invalid("PGCONNECT_TIMEOUT is not a number of seconds"))?;
        // None means for ever; see `Address::parse` for what is done without a limit.
        config.connect_timeout(Duration::from_secs(if seconds == 0 { u32::MAX.into() } else { seconds }));
    }
    if let Some(value) = var("PGTARGETSESSIONATTRS").filter(|_| !text.says_target) {
        target(&value)?;
    }
    encryption(config, text, var)?;
    if let Some(value) = var("PGLOADBALANCEHOSTS")
        && config.get_load_balance_hosts() == LoadBalanceHosts::Disable
    {
        config.load_balance_hosts(match value.as_str() {
            "disable" => LoadBalanceHosts::Disable,
            "random" => LoadBalanceHosts::Random,
            _ => return Err(invalid("PGLOADBALANCEHOSTS is neither disable nor random")),
        });
    }
    let file = |own: &mut Option<String>, name: &str| *own = own.take().or_else(|| var(name));
    file(&mut text.root_certificates, "PGSSLROOTCERT");
    file(&mut text.certificate, "PGSSLCERT");
    file(&mut text.key, "PGSSLKEY");
    file(&mut text.password_file, "PGPASSFILE");
    Ok(())
}

fn hosts(config: &mut Config, var: &dyn Fn(&str) -> Option<String>) -> Result<(), StoreError> {
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        let ports = config.get_ports().to_vec();
        let (hosts, addresses) = (var("PGHOST"), var("PGHOSTADDR"));
        for address in addresses.iter().flat_map(|addresses| addresses.split(',')) {
            config.hostaddr(address.trim().parse().map_err(|_| invalid("PGHOSTADDR is not an IP address"))?);
        }
        let hosts = hosts.or_else(|| addresses.is_none().then(|| default_host().to_owned()));
        for host in hosts.iter().flat_map(|hosts| hosts.split(',')) {
            config.host(host);
        }
        if ports.is_empty() {
            for port in var("PGPORT").iter().flat_map(|ports| ports.split(',')) {
                config.port(port.trim().parse().map_err(|_| invalid("PGPORT is not a number"))?);
            }
        }
    }
    if config.get_hosts().is_empty() {
        // So that a certificate is verified, for the address itself.
        let addresses: Vec<IpAddr> = config.get_hostaddrs().to_vec();
        for address in addresses {
            config.host(address.to_string());
        }
    }
    if !config.get_hostaddrs().is_empty() && config.get_hosts().len() != config.get_hostaddrs().len() {
        return Err(invalid("there are not as many hosts as addresses (PGHOST, PGHOSTADDR)"));
    }
    Ok(())
}

fn encryption(config: &mut Config, text: &Text, var: &dyn Fn(&str) -> Option<String>) -> Result<(), StoreError> {
    if let Some(mode) = var("PGSSLMODE").filter(|_| !text.says_mode) {
        config.ssl_mode(match mode.as_str() {
            "disable" => SslMode::Disable,
            "allow" | "prefer" => SslMode::Prefer,
            "require" | "verify-ca" | "verify-full" => SslMode::Require,
            _ => return Err(invalid("PGSSLMODE is none of disable, prefer, require, verify-full")),
        });
    }
    if let Some(value) = var("PGSSLNEGOTIATION")
        && config.get_ssl_negotiation() == SslNegotiation::Postgres
    {
        config.ssl_negotiation(match value.as_str() {
            "postgres" => SslNegotiation::Postgres,
            "direct" => SslNegotiation::Direct,
            _ => return Err(invalid("PGSSLNEGOTIATION is neither postgres nor direct")),
        });
    }
    if let Some(value) = var("PGCHANNELBINDING")
        && config.get_channel_binding() == ChannelBinding::Prefer
    {
        config.channel_binding(match value.as_str() {
            "disable" => ChannelBinding::Disable,
            "prefer" => ChannelBinding::Prefer,
            "require" => ChannelBinding::Require,
            _ => return Err(invalid("PGCHANNELBINDING is none of disable, prefer, require")),
        });
    }
    Ok(())
}

/// The entries of a service, by the names that the address form has for them.
#[derive(Debug, Default)]
pub(super) struct Service(Vec<(String, String)>);

impl Service {
    /// Reads the service of this name, from the user's file or the system's.
    pub(super) fn read(name: &str, var: &dyn Fn(&str) -> Option<String>) -> Result<Self, StoreError> {
        let own = var("PGSERVICEFILE").or_else(|| Some(format!("{}/.pg_service.conf", var("HOME")?)));
        let system = var("PGSYSCONFDIR").map(|folder| format!("{folder}/pg_service.conf"));
        for file in [own, system].into_iter().flatten() {
            if let Some(entries) = std::fs::read_to_string(&file).ok().and_then(|text| section(&text, name)) {
                return Ok(Self(entries));
            }
        }
        Err(invalid(&format!("there is no service \"{name}\" in PGSERVICEFILE, ~/.pg_service.conf or PGSYSCONFDIR")))
    }

    /// What stands for a variable.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        let key = match name {
            "PGDATABASE" => "dbname",
            "PGAPPNAME" => "application_name",
            "PGTARGETSESSIONATTRS" => "target_session_attrs",
            "PGCHANNELBINDING" => "channel_binding",
            "PGLOADBALANCEHOSTS" => "load_balance_hosts",
            name => &name.strip_prefix("PG")?.to_ascii_lowercase(),
        };
        self.0.iter().find(|(of, _)| of == key).map(|(_, value)| value.clone())
    }
}

fn section(text: &str, name: &str) -> Option<Vec<(String, String)>> {
    let mut lines = text.lines().map(str::trim).skip_while(|line| *line != format!("[{name}]"));
    lines.next()?;
    let entries = lines.take_while(|line| !line.starts_with('[')).filter(|line| !line.starts_with('#'));
    let pair = |line: &str| line.split_once('=').map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()));
    Some(entries.filter_map(pair).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_a_section_of_a_file() {
        let text = "# all\n[one]\nhost=a\n\n[two]\n host = b\n#port=1\ndbname=shop\n[three]\nhost=c\n";
        let service = Service(section(text, "two").unwrap());
        assert_eq!(service.variable("PGHOST").as_deref(), Some("b"));
        assert_eq!(service.variable("PGDATABASE").as_deref(), Some("shop"));
        assert_eq!(service.variable("PGPORT"), None);
        assert_eq!(section(text, "four"), None);
    }
}
