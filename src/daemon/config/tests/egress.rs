//! `[egress]`, and where the configuration leads.

use super::*;
use crate::net::outbound::Door;

const EGRESS: &str = "[egress]\nsocket = \"/run/tokenkeep-egress/egress.sock\"\n";

/// The least, with these lines of `[root_key]`, and by egress.
fn by_egress(root_key: &str) -> Result<Config, ConfigError> {
    let text = LEAST.replace("source = \"file\"\npath = \"/run/keys/root.key\"\n", root_key);
    parse(&format!("{text}{EGRESS}"))
}

fn destinations(root_key: &str) -> Vec<String> {
    by_egress(root_key).unwrap().destinations().iter().map(ToString::to_string).collect()
}

#[test]
fn the_way_out_is_direct_unless_it_is_named() {
    assert_eq!(parse(LEAST).unwrap().door, Door::Direct);
    let config = parse(&format!("{LEAST}{EGRESS}")).unwrap();
    assert_eq!(config.door, Door::Egress("/run/tokenkeep-egress/egress.sock".into()));
    assert!(config.destinations().is_empty(), "a file is on this host");
}

#[test]
fn the_configuration_leads_to_what_it_names_and_nowhere_else() {
    let bao = "source = 'openbao'\naddress = 'https://Bao.internal:8200/v'\npath = 'a'\ntoken.file = '/t'\n";
    assert_eq!(destinations(bao), ["bao.internal:8200"]);
    let of_hosts = [
        "169.254.170.2:80",
        "169.254.170.23:80",
        "[fd00:ec2::23]:80",
        "169.254.169.254:80",
        "[fd00:ec2::254]:80",
    ];
    let aws = "source = 'aws-secrets-manager'\nsecret_id = 'a'\n";
    let services =
        |services: [&str; 2]| services.into_iter().chain(of_hosts).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(
        destinations(&format!("{aws}region = 'eu-west-1'\n")),
        services(["secretsmanager.eu-west-1.amazonaws.com:443", "sts.eu-west-1.amazonaws.com:443"])
    );
    assert_eq!(
        destinations(&format!(
            "{aws}endpoint = 'https://vpce.example'\nsts_endpoint = 'https://sts.example'\n"
        )),
        services(["vpce.example:443", "sts.example:443"])
    );
}

#[test]
fn a_webhook_is_where_the_configuration_leads_too() {
    let webhook = "webhook = { url = 'https://Alerts.example/t', secret = { file = '/s' } }";
    let config = parse(&format!("{LEAST}[alerts]\n{webhook}\n")).unwrap();
    assert_eq!(
        config.destinations().iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["alerts.example:443"]
    );
}

#[test]
fn what_egress_could_not_know_is_refused() {
    let fault = |text: Result<Config, ConfigError>| text.unwrap_err().to_string();
    let aws = "source = 'aws-secrets-manager'\nsecret_id = 'a'\n";
    let no_region = fault(by_egress(aws));
    assert!(no_region.contains("t.toml:6:1") && no_region.contains("add region"), "{no_region}");
    assert!(fault(by_egress(&format!("{aws}endpoint = 'https://a.example'\n"))).contains("add region"));
    for (line, words) in [
        ("socket = 'egress.sock'", "not an absolute path"),
        (&format!("socket = '/{}'", "a".repeat(107)), "longer than the 107 bytes"),
        ("", "missing field `socket`"),
        ("socket = '/a'\nallow = ['evil.example:1']", "unknown field `allow`"),
    ] {
        let refused = fault(parse(&format!("{LEAST}[egress]\n{line}\n")));
        assert!(refused.contains(words), "{refused}");
    }
}

#[test]
fn a_bucket_is_where_the_configuration_leads_too() {
    let backup = "[backup]\nurl = 's3://keep/a'\nregion = 'eu-west-1'\n\
        recipients = ['age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj']\n";
    let config = parse(&format!("{LEAST}{backup}")).unwrap();
    let named: Vec<String> = config.destinations().iter().map(ToString::to_string).collect();
    assert!(named.contains(&"keep.s3.eu-west-1.amazonaws.com:443".to_owned()), "{named:?}");
    assert!(named.contains(&"sts.eu-west-1.amazonaws.com:443".to_owned()), "{named:?}");
    assert!(!named.iter().any(|one| one.starts_with("secretsmanager")), "{named:?}");
}
