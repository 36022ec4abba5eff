"""Start with `python demo/stack` (or `python -m demo.stack` from the checkout)."""

import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]

if __name__ == "__main__":
    # Started as a folder, Python puts the folder itself on the path, not the checkout.
    sys.path[0] = str(CHECKOUT)
    from demo.stack.command import main

    sys.exit(main(default_home=CHECKOUT / ".demo" / "stack"))
