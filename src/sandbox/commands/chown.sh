#!/bin/sh
# chown and chgrp of a sandbox server: there is one uid, so every file is owned by it already.
exit 0
