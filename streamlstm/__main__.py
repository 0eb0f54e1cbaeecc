"""`python -m streamlstm` is the same as `streamlstm`."""

from streamlstm.cli import main

if __name__ == "__main__":
    main()
