if __name__ != "asyncagg.net":
    raise ImportError("this package is asyncagg.net (import it under that name, or all its classes exist twice)")
