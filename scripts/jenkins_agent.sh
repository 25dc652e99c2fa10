#!/bin/bash
# Looks at a node with ready.sh, and starts an inbound Jenkins agent on it: jenkins_agent.sh HOSTNAME. It is the ready script for
# targets with `launcher: inbound`, and needs curl and java on the node.
#
# Nodepool runs it on each node, as the user of the image. What the agent needs is in /etc/nodepool/jenkins, which only that
# user can read; the secret goes by file from there on as well, since everybody on a machine sees the arguments of a process.
set -euo pipefail
umask 077

hostname=${1:?usage: jenkins_agent.sh HOSTNAME}
"$(dirname "$(readlink -f "$0")")/ready.sh" "$hostname"

# Of a node with subnodes the primary is the agent.
if [ ! -e /etc/nodepool/jenkins ]; then
    echo 'jenkins_agent: there is no agent to start here'
    exit 0
fi
# shellcheck source=/dev/null
. /etc/nodepool/jenkins
cd
printf %s "$NODEPOOL_JENKINS_SECRET" >agent.secret
curl -fsS -o agent.jar "${NODEPOOL_JENKINS_URL}jnlpJars/agent.jar"
setsid java -jar agent.jar -jnlpUrl "${NODEPOOL_JENKINS_URL}computer/$NODEPOOL_JENKINS_AGENT_NAME/jenkins-agent.jnlp" \
    -secret @agent.secret -workDir "$HOME" >agent.log 2>&1 </dev/null &
echo "jenkins_agent: $NODEPOOL_JENKINS_AGENT_NAME connects to $NODEPOOL_JENKINS_URL"
