//! Where nodes are offered: what both files say of a Jenkins, and what is said of what does not fit together.

use nodepool::config::Jenkins;

use super::*;

/// The small configuration with this target, and this in secure.conf.
fn scene(target: &str, secure: &str) -> Scene {
    let scene = Scene::new();
    let secure = format!("[database]\ndburi = sqlite:////nodepool.db\n{secure}");
    scene.yaml(&small(INLINE).replace("  - name: jenkins\n", target)).file("secure.conf", &secure);
    scene
}

fn offer(loaded: &Loaded) -> &Offer {
    &loaded.config.targets[0].offer
}

fn jenkins(loaded: &Loaded) -> &Jenkins {
    let Offer::Jenkins(jenkins) = offer(loaded) else { panic!("{:?}", offer(loaded)) };
    jenkins
}

const LOGIN: &str =
    "[jenkins \"j\"]\nurl = https://one.example.org/\nuser = robot\napikey = s3cr3t\ncredentials = c-1\n";

#[test]
fn a_target_alone_offers_its_nodes_nowhere() {
    for target in
        ["  - name: j\n", "  - {name: j, assign-via-gearman: no}\n", "  - {name: j, jenkins: null}\n"]
    {
        assert!(matches!(offer(&scene(target, "").load()), Offer::Nowhere), "{target}");
    }
}

#[test]
fn a_log_in_in_secure_conf_is_enough_and_wins_key_by_key() {
    let loaded = scene("  - name: j\n", LOGIN).load();
    let found = jenkins(&loaded);
    assert_eq!((found.url.as_str(), found.user.as_str()), ("https://one.example.org/", "robot"));
    assert_eq!((found.apikey.expose_secret(), found.credentials_id.as_deref()), ("s3cr3t", Some("c-1")));
    assert_eq!((found.launcher, found.queue_demand), (Launcher::Ssh, false));
    assert!(found.close_used_agents, "unless somebody says otherwise");

    let block = "  - name: j
    jenkins:
      url: https://two.example.org/ci
      credentials-id: c-2
      launcher: inbound
      test-job: ops/check-node
      enroll-timeout: 90
      api-timeout: 10s
      queue-demand: yes
      close-used-agents: no
      cacert: id_rsa
";
    let loaded = scene(block, &LOGIN.replace("credentials = c-1\n", "")).load();
    let found = jenkins(&loaded);
    assert_eq!(found.url, "https://one.example.org/");
    assert_eq!(found.credentials_id.as_deref(), Some("c-2"));
    assert_eq!((found.launcher, found.queue_demand), (Launcher::Inbound, true));
    assert!(!found.close_used_agents);
    assert_eq!(found.test_job.as_deref(), Some("ops/check-node"));
    assert_eq!((found.enroll_timeout, found.api_timeout), (Duration::from_secs(90), Duration::from_secs(10)));
    assert!(found.ca_file.as_ref().unwrap().ends_with("id_rsa"));
    let said = warnings(&loaded);
    assert!(
        said.iter().any(|one| one.contains("nothing starts an agent on nodes of label `jessie`")),
        "{said:?}"
    );
}

#[test]
fn a_jenkins_without_a_log_in_is_an_error_and_one_without_a_target_a_warning() {
    let found = scene("  - {name: j, jenkins: {test-job: t, user: robot}}\n", "").errors();
    let said: Vec<&str> = found.iter().map(|one| one.message.as_str()).collect();
    assert_eq!(said, ["the Jenkins of target `j` needs the keys `url`, `apikey`"]);
    assert!(found[0].help.as_ref().unwrap().contains("[jenkins \"j\"]"), "{:?}", found[0]);
    let found = scene("  - {name: j, jenkins: {url: [], user: 7, apikey: k}}\n", "").errors();
    assert_eq!(found.len(), 2, "what is wrong is not missing\n{}", render(&found));
    let loaded = scene("  - name: other\n", LOGIN).load();
    assert!(warnings(&loaded).iter().any(|one| one.contains("no target `j`")));
}

#[test]
fn a_target_is_offered_over_gearman_or_to_its_jenkins_and_the_first_is_told_of_both() {
    let gearman = "  - {name: j, assign-via-gearman: true}\ngearman-servers: [{host: zuul}]\n";
    assert!(matches!(offer(&scene(gearman, "").load()), Offer::Gearman));
    let loaded = scene(gearman, LOGIN).load();
    assert!(matches!(offer(&loaded), Offer::Gearman));
    assert!(warnings(&loaded).iter().any(|one| one.contains("and not to its Jenkins as well")));
    let alone = scene("  - {name: j, assign-via-gearman: true}\n", "").errors();
    assert!(alone[0].message.contains("needs a Gearman server"), "{}", render(&alone));
}

#[test]
fn a_url_that_holds_a_password_is_refused_and_not_shown() {
    for url in ["https://robot:s3cr3t@one.example.org/", "https://s3cr3t@one.example.org"] {
        let scene = scene(&format!("  - {{name: j, jenkins: {{url: '{url}', user: u, apikey: k}}}}\n"), "");
        let said = scene.report(&scene.errors());
        assert!(said.contains("must not hold a user or a password") && !said.contains("s3cr3t"), "{said}");
    }
    for url in [
        "jenkins.example.org",
        "ftp://one.example.org",
        "https://",
        "https:// one.example.org",
        "https:///ci",
    ] {
        let scene = scene(&format!("  - {{name: j, jenkins: {{url: '{url}', user: u, apikey: k}}}}\n"), "");
        let said = scene.report(&scene.errors());
        assert!(said.contains("is no http or https URL"), "{url}: {said}");
    }
    for url in ["http://localhost:8080", "https://[::1]/ci/", "https://ci.example.org/a@b"] {
        let loaded =
            scene(&format!("  - {{name: j, jenkins: {{url: '{url}', user: u, apikey: k}}}}\n"), "").load();
        assert_eq!(jenkins(&loaded).url, url);
    }
}

#[test]
fn the_queue_of_a_jenkins_that_is_two_targets_counts_once() {
    let target = |name: &str, url: &str, queue: &str| {
        format!(
            "  - {{name: {name}, jenkins: {{url: '{url}', user: u, apikey: k, queue-demand: {queue}}}}}\n"
        )
    };
    let (one, two) = ("https://one.example.org/ci", "https://two.example.org/ci");
    let targets = [
        target("silent", one, "no"),
        target("first", one, "yes"),
        target("again", &format!("{one}/"), "yes"),
        target("second", two, "yes"),
    ];
    let loaded = scene(&targets.concat(), "").load();
    let queues: Vec<&str> = loaded.config.queues().iter().map(|target| target.name.as_str()).collect();
    assert_eq!(queues, ["first", "second"]);
    assert!(loaded.config.tells_demand());
    assert!(!scene(&target("silent", one, "no"), "").load().config.tells_demand());
}

#[test]
fn the_pause_between_calls_is_accepted_and_what_replaced_it_is_told() {
    let loaded = scene("  - {name: j, rate: 2}\n", "").load();
    assert!(warnings(&loaded).iter().any(|one| one.starts_with("`rate` means nothing any more")));
}
