
%
markerPyFunc*
token
pyfunc_0