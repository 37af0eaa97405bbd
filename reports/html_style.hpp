// The style and script of the pages, by their former name.
#pragma once

#include "reports/page.hpp"
