//! Policy: who is identified as whom, and what each may do.

use super::*;

fn client(name: &str, uid: u32, unit: Option<&str>) -> Client {
    Client {
        name: name.into(),
        unix: Some(UnixMatch { uid, unit: unit.map(Into::into) }),
        san: None,
        orgs: OrgSet::Every,
        providers: ProviderSet::Every,
        allow: ActionSet::every(),
        require_pass: false,
        rate: None,
    }
}

fn peer(uid: u32, unit: Option<&str>) -> Peer {
    Peer { uid, gid: uid, pid: 1, unit: unit.map(Into::into) }
}

fn org(name: &str) -> OrgId {
    OrgId::parse(name).unwrap()
}

fn provider(name: &str) -> ProviderId {
    ProviderId::parse(name).unwrap()
}

#[test]
fn words_grant_what_they_say() {
    let granted = |word: &str| -> Vec<_> {
        let set = ActionSet::parse(word).unwrap();
        Action::ALL.iter().filter(|&&a| set.contains(a)).map(|a| a.as_str()).collect()
    };
    assert_eq!(granted("token:read"), ["token:read"]);
    assert_eq!(granted("org:*"), ["org:create", "org:read"]);
    assert_eq!(
        granted("connection:*"),
        ["connection:delete", "connection:list", "connection:read", "connection:write"]
    );
    assert_eq!(granted("*").len(), 15);
}

#[test]
fn words_that_grant_nothing_are_refused() {
    for word in [
        "audit:read",
        "audit:*",
        "key:*",
        "key:rotate",
        "org:list",
        "pass:issue",
        "pass:*",
        "vault:run",
        "vault:*",
    ] {
        assert_eq!(ActionSet::parse(word), Err(ActionError::AdminOnly), "{word}");
    }
    for word in ["", ":*", "**", "token", "token:", "token:write", "crypt:open", "Token:read", "*:read"] {
        assert_eq!(ActionSet::parse(word), Err(ActionError::Unknown), "{word}");
    }
}

#[test]
fn no_client_has_what_only_admins_have() {
    let mut greedy = client("web", 1, None);
    greedy.allow = ActionSet(u64::MAX);
    let (acme, github) = (org("acme"), provider("github"));
    for &action in Action::ALL {
        let verdict = judge(&greedy, action, Some(&acme), Some(&github));
        // Not granted, and nobody's alone: what a pass hands on is judged action by action.
        let may = is_grantable(action) || action == Action::PassIssue;
        assert_eq!(verdict == Verdict::Allow, may, "{action}");
    }
}

#[test]
fn no_admin_sees_a_value() {
    for action in [
        Action::CryptDecrypt,
        Action::CryptEncrypt,
        Action::RefreshTokenRead,
        Action::SecretRead,
        Action::TokenRead,
        Action::VaultRun,
    ] {
        assert_eq!(judge_admin(action), Verdict::Forbidden);
    }
    assert_eq!(Action::ALL.iter().filter(|&&a| judge_admin(a) == Verdict::Allow).count(), 34);
}

#[test]
fn a_client_stays_within_its_orgs_providers_and_actions() {
    let mut web = client("web", 1, None);
    web.orgs = OrgSet::Only([org("acme")].into());
    web.providers = ProviderSet::Only([provider("github")].into());
    web.allow = ActionSet::parse("token:read").unwrap().union(ActionSet::parse("connection:list").unwrap());
    let (acme, other, github, slack) = (org("acme"), org("other"), provider("github"), provider("slack"));
    for (action, org, provider, verdict) in [
        (Action::TokenRead, Some(&acme), Some(&github), Verdict::Allow),
        (Action::TokenRead, Some(&acme), Some(&slack), Verdict::Forbidden),
        (Action::TokenRead, Some(&acme), None, Verdict::Forbidden),
        (Action::TokenRead, Some(&other), Some(&github), Verdict::CrossOrg),
        (Action::TokenRead, None, Some(&github), Verdict::Forbidden),
        (Action::ConnectionList, Some(&acme), None, Verdict::Allow),
        (Action::ConnectionList, Some(&acme), Some(&slack), Verdict::Forbidden),
        (Action::ConnectionWrite, Some(&acme), Some(&github), Verdict::Forbidden),
        // Without the right, nothing is said about the org.
        (Action::ConnectionWrite, Some(&other), Some(&github), Verdict::Forbidden),
        (Action::StatusRead, None, None, Verdict::Allow),
    ] {
        assert_eq!(judge(&web, action, org, provider), verdict, "{action} {org:?} {provider:?}");
    }
}

#[test]
fn org_names_are_compared_as_they_are_written() {
    let mut web = client("web", 1, None);
    web.orgs = OrgSet::Only([org("acme")].into());
    assert_eq!(judge(&web, Action::SecretRead, Some(&org("Acme")), None), Verdict::CrossOrg);
}

#[test]
fn the_client_of_the_unit_comes_before_the_client_of_the_user() {
    let policy = Policy::new(vec![
        client("any", 1, None),
        client("web", 1, Some("web.service")),
        client("bound", 2, Some("web.service")),
    ])
    .unwrap();
    let name = |uid, unit| policy.identify(&peer(uid, unit)).map(|client| client.name.as_str());
    assert_eq!(name(1, Some("web.service")), Some("web"));
    assert_eq!(name(1, Some("other.service")), Some("any"));
    assert_eq!(name(1, None), Some("any"));
    assert_eq!(name(2, Some("web.service")), Some("bound"));
    assert_eq!(name(2, Some("other.service")), None);
    assert_eq!(name(2, None), None);
    assert_eq!(name(0, Some("web.service")), None);
}

#[test]
fn clients_that_cannot_be_told_apart_are_refused() {
    let new = |clients: Vec<Client>| Policy::new(clients).unwrap_err();
    assert_eq!(new(vec![client("a", 1, None), client("a", 2, None)]), PolicyError::SameName("a".into()));
    for unit in [None, Some("web.service")] {
        assert_eq!(
            new(vec![client("a", 1, unit), client("c", 3, None), client("b", 1, unit)]),
            PolicyError::SameProof("a".into(), "b".into())
        );
    }
    let nobody = Client { unix: None, ..client("a", 1, None) };
    assert_eq!(new(vec![nobody]), PolicyError::NoProof("a".into()));
    for name in ["", "admin", "unknown", "task:refresh", "Web", "a b"] {
        assert_eq!(new(vec![client(name, 1, None)]), PolicyError::ReservedName(name.into()));
    }
}

#[test]
fn in_development_one_user_may_do_everything_and_others_nothing() {
    let policy = Policy::development(1000);
    let dev = policy.identify(&peer(1000, Some("web.service"))).unwrap();
    let verdict = judge(dev, Action::TokenRead, Some(&org("acme")), Some(&provider("any")));
    assert_eq!(verdict, Verdict::Allow);
    assert_eq!(policy.identify(&peer(1001, None)), None);
}

#[test]
fn a_certificate_is_the_one_client_that_it_names() {
    let named = |name: &str, san: &str| Client { unix: None, san: San::parse(san), ..client(name, 1, None) };
    let policy =
        Policy::new(vec![named("a", "spiffe://x/a"), named("b", "b.example"), client("c", 3, None)]).unwrap();
    let who = |names: &[&str]| {
        let names: Vec<San> = names.iter().map(|name| San::parse(name).unwrap()).collect();
        policy
            .identify_certificate(&names)
            .map(|found| found.map(|(client, san)| (client.name.clone(), san.to_string())))
    };
    let found = |name: &str, san: &str| Ok(Some((name.to_owned(), san.to_owned())));
    assert_eq!(who(&["spiffe://x/a"]), found("a", "spiffe://x/a"));
    assert_eq!(who(&["other.example", "B.example"]), found("b", "b.example"));
    assert_eq!(who(&["spiffe://x/a", "b.example"]), Err(Ambiguous));
    for names in [&[][..], &["spiffe://x/A"], &["spiffe://x/a/b"], &["a.b.example"]] {
        assert_eq!(who(names), Ok(None), "{names:?}");
    }
    let twins = Policy::new(vec![named("a", "b.example"), named("b", "B.EXAMPLE")]);
    assert_eq!(twins, Err(PolicyError::SameSan("a".into(), "b".into())));
}
