#!/usr/bin/python3
"""service.py NAME MODULE ARGUMENT...: runs MODULE's main(), as the start scripts of the packages that are not installed."""
import importlib
import sys

name, module = sys.argv[1:3]
sys.argv = [name, *sys.argv[3:]]
sys.exit(importlib.import_module(module).main())
