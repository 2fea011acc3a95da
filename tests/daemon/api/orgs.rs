//! Orgs: created, shown, each apart from the others.

use serde_json::json;

use crate::kit::{Request, over_each_way};

#[test]
fn an_org_is_created_once_and_shown() {
    over_each_way(|vault, line| {
        let created = line.send(&Request::new("PUT", "/v1/orgs/acme")).is(201).json();
        assert_eq!(created["org"], "acme");
        assert_eq!(created["root_key_id"].as_str().map(str::len), Some(16));
        let again = line.send(&Request::new("PUT", "/v1/orgs/acme")).is(200).json();
        assert_eq!(again, created, "creating is idempotent");
        assert_eq!(line.get("/v1/orgs/acme").is(200).json(), created);

        line.get("/v1/orgs/nobody").refused(404, "not_found");
        line.get("/v1/orgs/nobody/connections").refused(404, "not_found");
        line.put("/v1/orgs/nobody/connections/github/main", &json!({"access_token": "t"}))
            .refused(404, "not_found");

        line.send(&Request::new("PUT", "/v1/orgs/other")).is(201);
        let listed = vault.admin().get("/admin/v1/orgs").is(200).json();
        let mut names: Vec<_> = listed["items"].as_array().unwrap().iter().map(|org| &org["org"]).collect();
        names.sort_by_key(|name| name.as_str());
        assert_eq!(names, ["acme", "other"]);
        assert!(listed["next"].is_null());
    });
}

#[test]
fn an_org_that_all_create_at_once_is_created_by_one() {
    over_each_way(|_, line| {
        for round in 0..10 {
            let create = Request::new("PUT", format!("/v1/orgs/acme-{round}"));
            let mut created: Vec<u16> = std::thread::scope(|scope| {
                let asked: Vec<_> = (0..8).map(|_| scope.spawn(|| line.send(&create).status)).collect();
                asked.into_iter().map(|asked| asked.join().unwrap()).collect()
            });
            created.sort_unstable();
            assert_eq!(created, [200, 200, 200, 200, 200, 200, 200, 201]);
        }
    });
}

#[test]
fn names_are_apart_by_every_character() {
    over_each_way(|_, line| {
        for org in ["a", "A", "a.b", "a-b", "a_b"] {
            line.send(&Request::new("PUT", format!("/v1/orgs/{org}"))).is(201);
            let url = format!("/v1/orgs/{org}/connections/github/main");
            line.put(&url, &json!({"access_token": format!("token-of-{org}")})).is(201);
        }
        for org in ["a", "A", "a.b", "a-b", "a_b"] {
            let url = format!("/v1/orgs/{org}/connections/github/main/token");
            assert_eq!(line.get(&url).json()["access_token"], format!("token-of-{org}"));
            let listed = line.get(&format!("/v1/orgs/{org}/connections")).json();
            assert_eq!(listed["items"].as_array().map(Vec::len), Some(1));
        }
    });
}

/// RFC 3986, section 2.3: an unreserved character and its escape are the same.
#[test]
fn an_escaped_path_names_the_same_thing() {
    over_each_way(|_, line| {
        line.send(&Request::new("PUT", "/v1/orgs/%61cme")).is(201);
        line.put("/v1/orgs/acme/connections/github/jane%40example.org", &json!({"access_token": "t"}))
            .is(201);
        let shown = line.get("/v1/orgs/acme/connections/github/jane@example.org").is(200).json();
        assert_eq!(shown["name"], "jane@example.org");
    });
}
