"""`python -m fastswap`, and so `torchrun -m fastswap`."""

from fastswap.cli import main

if __name__ == "__main__":
    main()
