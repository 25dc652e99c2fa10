#!/usr/bin/python3
"""nova-compute with the devcloud's driver. Nova takes drivers from its own package nova.virt only: it is shown ours there."""
import os
import sys

import nova.cmd  # noqa: F401  (patches the standard library, so it must come first)
import nova.virt

nova.virt.__path__.append(os.path.join(os.environ['DEVCLOUD_STATE'], 'lib'))

from nova.cmd.compute import main  # noqa: E402

sys.argv[0] = 'nova-compute'
sys.exit(main())
