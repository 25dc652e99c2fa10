"""What somebody does with python-jenkins: argv is URL, user, password, host, port, and host key of a machine."""

import sys
import time

import jenkins

url, user, password, host, port, host_key = sys.argv[1:]
server = jenkins.Jenkins(url, user, password)


def until(what, condition):
    end = time.monotonic() + 60
    while not condition():
        if time.monotonic() > end:
            sys.exit("waited too long until " + what)
        time.sleep(0.05)


assert server.get_whoami()["fullName"] == user
assert server.get_version().startswith("2."), server.get_version()
assert [node["name"] for node in server.get_nodes()] == ["Built-In Node"]

key_strategy = "hudson.plugins.sshslaves.verifiers.ManuallyProvidedKeyVerificationStrategy"
server.create_node(
    "n1",
    numExecutors=1,
    nodeDescription="Dynamic single use debian node",
    remoteFS="/root/ci",
    labels="debian ci",
    exclusive=True,
    launcher=jenkins.LAUNCHER_SSH,
    launcher_params={
        "host": host,
        "port": port,
        "credentialsId": "given",
        "sshHostKeyVerificationStrategy": {"stapler-class": key_strategy, "key": host_key},
    },
)
try:
    server.create_node("n1", numExecutors=1)
    sys.exit("the same name was taken twice")
except jenkins.JenkinsException as error:
    assert "already exists" in str(error), error
until("n1 is online", lambda: not server.get_node_info("n1")["offline"])
info = server.get_node_info("n1", depth=1)
assert info["description"] == "Dynamic single use debian node", info
assert info["idle"] and info["numExecutors"] == 1, info
assert {label["name"] for label in info["assignedLabels"]} == {"n1", "debian", "ci"}, info
assert sorted(node["name"] for node in server.get_nodes()) == ["Built-In Node", "n1"]
assert "<label>debian ci</label>" in server.get_node_config("n1")

server.create_job(
    "unit",
    "<project><assignedNode>debian</assignedNode><builders><hudson.tasks.Shell>"
    "<command>echo built on $(hostname) as $BUILD_NUMBER</command></hudson.tasks.Shell></builders></project>",
)
assert server.job_exists("unit") and [job["name"] for job in server.get_jobs()] == ["unit"]
item = server.build_job("unit", {"delay": "0sec"})
until("the build has begun", lambda: server.get_queue_item(item).get("executable"))
until("the build is over", lambda: not server.get_build_info("unit", 1)["building"])
assert server.get_build_info("unit", 1)["result"] == "SUCCESS", server.get_build_console_output("unit", 1)
assert server.get_build_info("unit", 1)["builtOn"] == "n1"
assert "built on n1 as 1" in server.get_build_console_output("unit", 1)

server.disable_node("n1", "for a test")
info = server.get_node_info("n1")
assert info["temporarilyOffline"] and info["offlineCauseReason"] == "for a test", info
server.build_job("unit", {"delay": "0sec"})
why = server.get_queue_info()[0]["why"]
assert why == "All nodes of label ‘debian’ are offline", why
server.enable_node("n1")
until("the second build is over", lambda: server.get_job_info("unit")["lastSuccessfulBuild"]["number"] == 2)

server.reconfig_node("n1", server.get_node_config("n1").replace("<label>debian ci</label>", "<label>fedora</label>"))
assert {label["name"] for label in server.get_node_info("n1")["assignedLabels"]} == {"n1", "fedora"}
server.delete_job("unit")
server.delete_node("n1")
assert not server.node_exists("n1")
server.quiet_down()
print("done")
